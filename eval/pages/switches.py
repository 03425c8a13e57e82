"""The page of PanoRecon's switches, each set alone."""

from collections.abc import Mapping
from typing import Any

from eval.pages.markdown import table

_INTRO = """
# Results: PanoRecon's switches

PanoRecon's released code and its paper differ in places. Each place is a switch. Here a perfect network is put in and one
switch at a time is set: what the score loses is the cost of that switch.
[The experiment](../experiments/2026-11-21-panorecon-switches.md) explains the switches and has the command.
"""


def switches_page(found: Mapping[str, Any]) -> str:
    rows = [
        [
            f"`{row['switch']}`",
            f"`{row['value']}`" if row["value"] != "" else "",
            *(f"{100 * row[key]:.2f}" for key in ("prq", "prq_things", "prq_stuff")),
            str(row["num_frames_changed"]),
        ]
        for row in found["panorecon-switches.json"]
    ]
    header = ["switch", "set to", "PRQ", "things", "stuff", "frames that change"]
    return f"{_INTRO.strip()}\n\n{table(header, rows)}"
