"""The page of what a training step costs and of a training that was killed again and again."""

from collections.abc import Mapping
from typing import Any

from eval.pages.markdown import machine_line, table


def training_page(found: Mapping[str, Any]) -> str:
    steps, kills = found["train-cpu.json"], found["faults/kill-training.json"]
    return "\n\n".join(
        [
            "# Results: training",
            "[Training](../training.md) explains the stages of a step and what a checkpoint keeps.",
            "## Cost of a step",
            "`panoptic3d bench train`. Other work ran on the machine: it stretches wall seconds, not CPU seconds.",
            machine_line(steps, "train-cpu.json"),
            _cases(steps["cases"]),
            "## Kills",
            "One short training is killed at random moments and started again. Its weights are compared with those of an "
            "unbroken run: `python -m eval.faults.kill_training`.",
            machine_line(kills, "faults/kill-training.json"),
            _kills(kills),
        ]
    )


def _cases(cases: Mapping[str, Mapping[str, Any]]) -> str:
    parts = list(dict.fromkeys(part for case in cases.values() for part in case["seconds_a_step"]))
    rows = [["CPU seconds per step", *(f"{case['cpu_s_a_step']:.2f}" for case in cases.values())]]
    rows.append(["peak memory", *(f"{case['peak_memory_mib']:,} MiB" for case in cases.values())])
    for part in parts:
        seconds = (case["seconds_a_step"].get(part) for case in cases.values())
        rows.append([f"wall seconds of `{part}`", *("" if s is None else f"{s:.3f}" for s in seconds)])
    return table(["", *(f"`{name}`" for name in cases)], rows)


def _kills(kills: Mapping[str, Any]) -> str:
    lost = kills["steps_lost_to_kills"]
    injected = ", ".join(f"{count} x {name}" for name, count in kills["injected"].items())
    rows = [
        ["steps of the training", str(kills["steps"])],
        ["injected", injected],
        ["kills that hit a checkpoint being written", str(kills["hit_while_writing"])],
        ["steps lost to SIGKILL", f"{lost['total']} (at most {lost['most']} each)"],
        ["steps lost to SIGTERM", str(kills["steps_lost_to_terms"])],
        ["unreadable checkpoints", str(kills["unreadable_checkpoints"])],
        ["final weights and losses equal to the bit", "yes" if kills["final_weights_equal_to_the_bit"] else "no"],
    ]
    return table(["", ""], rows)
