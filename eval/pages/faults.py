"""The page of verbs that are killed, let down by the system, or starved of disk space."""

from collections.abc import Mapping
from typing import Any

from eval.pages.markdown import machine_line, table

_INTRO = """
# Results: faults

What happens when a verb is killed, when a call of the operating system fails, and when the disk is full;
and whether memory grows. "Wrong" counts results that were lost, half written, or different from those of an undisturbed run.
"""
_SERVERS = (
    *("slowest page, s", "the same without an attack, s", "load of two cores"),
    *("slow clients gone after, s", "MB by round", "wrong"),
)
_SECTIONS = {
    "kill-verbs": ("SIGKILL at random moments", ("kills", "after the end", "seconds of a run", "wrong")),
    "failing-calls": ("System calls that fail", ("calls tried", "wrong")),
    "full-disk": ("A full disk", ("bytes written by a run", "sizes tried", "wrong")),
    "servers": ("Servers under attack", _SERVERS),
    "threads": (
        "One thread and two: what differs in a scene",
        ("photo", "labelled voxels", "another label", "farther than 0.001 voxel", "most of the others, voxels"),
    ),
    "memory": ("Memory over many photos", ("photos", "growth", "most MB")),
}


def faults_page(found: Mapping[str, Any]) -> str:
    parts = [_INTRO.strip()]
    for name, measured in found.items():
        stem = name.removeprefix("faults/").removesuffix(".json")
        title, header = _SECTIONS[stem]
        verbs = {verb: numbers for verb, numbers in measured.items() if verb != "machine"}
        rows = [[verb, *cells] for verb, numbers in verbs.items() for cells in _rows(stem, numbers)]
        command = f"`python -m eval.faults.{stem.replace('-', '_')}`."
        parts += [f"## {title}", f"{command} {machine_line(measured, name)}", table(["", *header], rows)]
    return "\n\n".join(parts)


def _rows(stem: str, numbers: Mapping[str, Any]) -> list[list[str]]:
    if stem != "threads":
        return [_cells(stem, numbers)]
    of_photos = {photo: list(one.values()) for photo, one in numbers.items() if photo != "commit"}
    return [
        [photo, *(f"{value:,.2g}" if value < 1 else f"{value:,}" for value in one)] for photo, one in of_photos.items()
    ]


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
            alone_s, load = numbers["slowest_page_of_browsers_alone_s"], f"{numbers['load']:.1f}"
            seconds = [numbers["slowest_page_s"], alone_s, load, numbers["slow_ones_gone_after_s"]]
            values = [*seconds, rounds, len(numbers["wrong"])]
        case _:
            values = [numbers["num"], f"{100 * numbers['growth']:+.1f} %", numbers["most_mb"]]
    return [str(value) for value in values]
