"""The pages of races and of ablations: what was raced, then the tables of `eval.race.table`."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from eval.race.table import ablation_table, race_table

# title and what the race asks; a race without an entry is titled by its file
_RACES = {
    "race-300": (
        "300 rooms",
        "All methods on the first view of each of 300 test rooms. Two rows are no methods: the visible surface alone shows "
        "what completion is worth, and the mean room shows what one can know without looking at the photo. "
        "Commands: `eval/race/rooms-300.yaml`.",
    ),
    "race-300-equal-budget": (
        "300 rooms, equal budget",
        "clearview and PanoRecon after the same CPU time on the same data. The weights of clearview are those of commit "
        "a0fe5b6, before its last training stage.",
    ),
    "race-exchanged": (
        "BUOL's grouping behind clearview's voxels",
        "The same weights with two decoders. Rows with † get true maps before the lift, so they are no scores. "
        "Command: `python -m eval.race.race eval/race/exchanged.yaml`.",
    ),
    "race-queries-40-steps": (
        "Uni-3D's queries over clearview's maps",
        "After 40 training steps, on the four rooms that it was trained on: it shows that the exchange learns, "
        "not what it is worth. Config: `configs/race/clearview-with-queries.yaml`.",
    ),
    "race-lifts-24-steps": (
        "BUOL's lift in PanoRecon",
        "The same voxel net behind two lifts after 24 training steps each, on the four rooms that it was trained on: the "
        "surface begins to appear, and the labels do not yet. Configs: `configs/race/panorecon-lifted-by-occupancy.yaml` and "
        "`panorecon-lifted-by-surface.yaml`.",
    ),
}
_ABLATIONS = {
    "ablations": ("After shared maps", "All rows start from the same maps stage, which was trained with every idea."),
    "ablations-from-the-start": ("The maps stage", "With the maps stage, and without it for about the same CPU time."),
}
_RACES_INTRO = """
# Results: races

Each section is one race: several methods, one evaluator, one list of samples. [Racing methods](../race.md) says how a race
works and what can be concluded. Scores are in percent. Square brackets are 95 % intervals by bootstrap over scenes.
PRQ, RSQ, RRQ, and the protocols are in the [glossary](../glossary.md).
"""
_ABLATIONS_INTRO = """
# Results: ablations

One row per idea of [clearview](../adr/0007-clearview.md): the network trained without it, and what the idea adds.
All trainings are short, so read [what can be concluded](../race.md#ablations) first.
"""


def races_page(found: Mapping[str, Any]) -> str:
    parts = [_RACES_INTRO.strip()]
    for name, race in sorted(found.items(), key=lambda item: _place(_RACES, item[0])):
        title, about = _RACES.get(_stem(name), (_stem(name), ""))
        parts += [f"## {title}", f"{about} File: `eval/results/{name}`.".strip(), race_table(race).strip()]
    return "\n\n".join(parts)


def ablations_page(found: Mapping[str, Any]) -> str:
    parts = [_ABLATIONS_INTRO.strip()]
    for name, ablations in sorted(found.items(), key=lambda item: _place(_ABLATIONS, item[0])):
        title, about = _ABLATIONS[_stem(name)]
        parts += [f"## {title}", f"{about} File: `eval/results/{name}`.", ablation_table(ablations).strip()]
    return "\n\n".join(parts)


def _stem(name: str) -> str:
    return PurePath(name).stem


def _place(titles: Mapping[str, Any], name: str) -> tuple[int, str]:
    """Sections come in the order of the table, then by name."""
    stem = _stem(name)
    return (list(titles).index(stem) if stem in titles else len(titles), stem)
