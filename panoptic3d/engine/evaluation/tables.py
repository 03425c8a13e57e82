"""A result as text: on the terminal, in Markdown, in LaTeX. Percentages with two decimals, as papers print them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from panoptic3d.errors import printable
from panoptic3d.metrics.measure import Measure, TabledMeasure
from panoptic3d.metrics.surface_measure import surface_table
from panoptic3d.metrics.table import Table

_HEADER = ("", "PRQ", "RSQ", "RRQ", "TP", "FP", "FN", "n")


def tables_of(result: Mapping[str, Any], measures: Sequence[Measure] = ()) -> list[Table]:
    """The main table of a protocol, then what was measured beside it."""
    parts = (_group_tables, _sensitivity_table, _confusion_table)
    beside = [table for part in parts for table in part(result)]
    return [_main_table(result), *geometry_tables(result, measures), *beside]


def geometry_tables(result: Mapping[str, Any], measures: Sequence[Measure] = ()) -> list[Table]:
    """Surfaces and measures, where they were asked for: the same for every protocol of PRQ."""
    surfaces = [surface_table(name, scores) for name, scores in result["surfaces"].items() if scores]
    by_name = {measure.name: measure for measure in measures}
    measured = result.get("measures", {}).items()
    return surfaces + [_measure_table(name, numbers, by_name.get(name)) for name, numbers in measured]


def _measure_table(name: str, numbers: Mapping[str, Any], measure: Measure | None) -> Table:
    if isinstance(measure, TabledMeasure) and numbers["num_samples"]:
        return measure.table(numbers)
    rows = [[label, f"{value:.4f}"] for label, value in numbers.items() if label != "num_samples"]
    return Table(f"{name}: measure", ("", "value"), rows, [f"over {numbers['num_samples']} images"])


def main_tables(results: Sequence[Mapping[str, Any]]) -> list[Table]:
    return [_main_table(result) for result in results]


def _main_table(result: Mapping[str, Any]) -> Table:
    rows = [_score_row("all", result)]
    rows += [_score_row(group, result[group]) for group in ("things", "stuff")]
    rows += [
        _score_row(name if score["in_mean"] else f"{name} (not in the mean)", score)
        for name, score in result["per_class"].items()
    ]
    given = depth_source(result)
    column = "" if given is None else f" with depth ({given})"
    return Table(f"{result['protocol']}{column}: panoptic reconstruction quality", _HEADER, rows, notes_of(result))


def depth_source(result: Mapping[str, Any]) -> str | None:
    """Where the depth of a result came from; None for scores of photos alone."""
    depth = result.get("depth")
    return None if depth is None else str(depth["source"])


def notes_of(result: Mapping[str, Any]) -> list[str]:
    """What a reader must know beside the number."""
    split, interval = result["split"], result["interval"]
    voxels = result["voxels"]
    notes = [f"split {split['name']}, {split['size']} images, sha256 {split['sha256'][:12]}"]
    if "prq" in interval:
        low, high = (_percent(value) for value in interval["prq"])
        scenes = interval["num_scenes"]
        notes.append(f"PRQ within [{low}, {high}] at {interval['level']:.0%} (bootstrap over {scenes} scenes)")
    else:
        notes.append(f"no interval: {interval['num_scenes']} scene cannot be resampled")
    notes.append(f"voxels: mean IoU {_percent(voxels['mean_iou'])}, occupancy {_percent(voxels['occupancy_iou'])}")
    for name, what in (("seen", "that the image shows"), ("hidden", "behind them")):
        score = result["visibility"][name]
        if score["num_voxels"]:
            shares = ", ".join(f"{k} {_percent(score[k])}" for k in ("precision", "recall"))
            notes.append(f"surfaces {what}: F1 at a voxel {_percent(score['f1'])} ({shares})")
    if (given := depth_source(result)) is not None:
        notes.append(f"NOT a score of photos alone: depth was handed in ({given})")
    if result["oracles"]:
        notes.append(f"NOT a score of the method: {', '.join(result['oracles'])} taken from the ground truth")
    if result["num_failed"]:
        notes.append(f"{result['num_failed']} failed, scored as nothing predicted: {_examples(result['failures'])}")
    if result["num_bad_truth"]:
        notes.append(f"{result['num_bad_truth']} NOT SCORED, bad ground truth: {_examples(result['bad_truth'])}")
    if result["num_skipped"]:
        notes.append(f"{result['num_skipped']} left out by the rules of the protocol")
    if result["warnings"]:
        first = result["warnings"][0]
        notes.append(f"{len(result['warnings'])} warnings, the first: {first['key']}: {first['message']}")
    return notes


def _group_tables(result: Mapping[str, Any]) -> list[Table]:
    diagnosis = result["diagnosis"]
    tables = []
    for name, groups in diagnosis["targets"].items():
        rows = [
            [
                _unnumbered(g["name"]),
                str(g["num_targets"]),
                *(_percent(g[k]) for k in ("found", "fit", "found_times_fit")),
            ]
            for g in groups
        ]
        tables.append(Table(f"Targets by {name}", ("", "targets", "found", "IoU if found", "product"), rows))
    crowding = diagnosis["number_of_things"].items()
    rows = [[_unnumbered(name), str(g["num_images"]), _percent(g["prq"])] for name, g in crowding]
    return [*tables, Table("Images by number of things", ("", "images", "PRQ"), rows)]


def _sensitivity_table(result: Mapping[str, Any]) -> list[Table]:
    sensitivity = result["sensitivity"]
    if not sensitivity:
        return []
    rows = [[name, f"{100 * change:+.2f}"] for name, change in sensitivity["change_of_prq"].items()]
    note = f"on {sensitivity['num_samples']} images with a PRQ of {_percent(sensitivity['prq'])}"
    return [Table("What small changes would do", ("change", "PRQ points"), rows, [note])]


def _confusion_table(result: Mapping[str, Any]) -> list[Table]:
    confusion = result["diagnosis"]["confusion"]
    answers = sorted(
        {answer for row in confusion.values() for answer in row}, key=lambda name: (name == "nothing", name)
    )
    rows = [[truth, *(str(row.get(answer, "")) for answer in answers)] for truth, row in confusion.items()]
    return [Table("Targets (rows) and the class of what covers them best (columns)", ("", *answers), rows)]


def to_terminal(tables: Sequence[Table]) -> str:
    return "\n\n".join(_terminal_table(table) for table in tables)


def to_markdown(tables: Sequence[Table]) -> str:
    def one(table: Table) -> str:
        lines = [_bar(table.header), _bar(["---", *["---:"] * (len(table.header) - 1)]), *map(_bar, table.rows)]
        notes = "".join(f"\n- {_markdown(note)}" for note in table.notes)
        return f"### {_markdown(table.title)}\n\n" + "\n".join(lines) + (f"\n{notes}" if notes else "")

    return "\n\n".join(map(one, tables)) + "\n"


def to_latex(tables: Sequence[Table]) -> str:
    def one(table: Table) -> str:
        rows = "\n".join(_latex_row(row) for row in table.rows)
        columns = "l" + "r" * (len(table.header) - 1)
        comments = "\n".join(f"% {printable(note)}" for note in (table.title, *table.notes))
        body = f"\\toprule\n{_latex_row(table.header)}\n\\midrule\n{rows}\n\\bottomrule"
        return f"{comments}\n\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}"

    return "\n\n".join(map(one, tables)) + "\n"


def _terminal_table(table: Table) -> str:
    widths = [max(len(row[c]) for row in (table.header, *table.rows)) for c in range(len(table.header))]

    def line(row: Sequence[str]) -> str:
        cells = (
            cell.ljust(w) if c == 0 else cell.rjust(w) for c, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    return "\n".join([table.title, line(table.header), rule, *map(line, table.rows), *(f"  {n}" for n in table.notes)])


def _score_row(name: str, score: Mapping[str, Any]) -> list[str]:
    counts = [str(score[key]) if key in score else "" for key in ("tp", "fp", "fn", "n")]
    return [name, *(_percent(score[key]) for key in ("prq", "rsq", "rrq")), *counts]


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _unnumbered(name: str) -> str:
    """Groups are numbered so that they sort."""
    return name.partition(": ")[2] or name


def _examples(failures: Sequence[Mapping[str, str]]) -> str:
    first = "; ".join(f"{f['key']} ({f['reason']})" for f in failures[:3])
    return first if len(failures) <= 3 else f"{first}; and {len(failures) - 3} more"


def _bar(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_markdown, cells)) + " |"


def _markdown(text: str) -> str:
    """Names of samples and splits are strangers' text: no table, link or tag of theirs."""
    return re.sub(r"([\\|`<>\[\]])", r"\\\1", printable(text))


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(_latex, cells)) + " \\\\"


_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {character: f"\\{character}" for character in "&%$#_{}"}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in printable(text))
