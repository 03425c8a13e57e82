"""The page of verbs that are killed, let down by the system, or starved of disk space."""

from collections.abc import Mapping
from typing import Any

from eval.pages.markdown import machine_line, table

_INTRO = """
# Results: faults

What happens when a verb is killed, when a call of the operating system fails, and when the disk is full;
and whether memory grows. "Wrong" counts results that were lost, half written, or different from those of an undisturbed run.
"""
_SECTIONS = {
    "kill-verbs": ("SIGKILL at random moments", ("kills", "after the end", "seconds of a run", "wrong")),
    "failing-calls": ("System calls that fail", ("calls tried", "wrong")),
    "full-disk": ("A full disk", ("bytes written by a run", "sizes tried", "wrong")),
    "servers": ("Servers under attack", ("slowest page, s", "slow clients gone after, s", "MB by round", "wrong")),
    "memory": ("Memory over many photos", ("photos", "growth", "most MB")),
}


def faults_page(found: Mapping[str, Any]) -> str:
    parts = [_INTRO.strip()]
    for name, measured in found.items():
        stem = name.removeprefix("faults/").removesuffix(".json")
        title, header = _SECTIONS[stem]
        verbs = {verb: numbers for verb, numbers in measured.items() if verb != "machine"}
        rows = [[verb, *_cells(stem, numbers)] for verb, numbers in verbs.items()]
        command = f"`python -m eval.faults.{stem.replace('-', '_')}`."
        parts += [f"## {title}", f"{command} {machine_line(measured, name)}", table(["", *header], rows)]
    return "\n\n".join(parts)


def _cells(stem: str, numbers: Mapping[str, Any]) -> list[str]:
    match stem:
        case "kill-verbs":
            values = [numbers["kills"], numbers["too_late"], numbers["seconds_of_a_run"], len(numbers["wrong"])]
        case "failing-calls":
            values = [sum(numbers["tried"].values()), len(numbers["wrong"])]
        case "full-disk":
            values = [f"{numbers['bytes']:,}", numbers["full"], len(numbers["wrong"])]
        case "servers":
            rounds = ", ".join(map(str, numbers["resident_mb"]))
            values = [numbers["slowest_page_s"], numbers["slow_ones_gone_after_s"], rounds, len(numbers["wrong"])]
        case _:
            values = [numbers["num"], f"{100 * numbers['growth']:+.0f} %", numbers["most_mb"]]
    return [str(value) for value in values]
