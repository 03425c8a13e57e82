"""Tables and curves from what `race.py` and `ablations.py` have written: nothing here is typed by hand.

python -m eval.race.table OUT/race.json [--ablations ABLATIONS.json] [--curve NAME=RUN ...] [--svg CURVES.svg] > RESULTS.md
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.race.curves import curves_of, draw
from panoptic3d.files import write_text_atomically

Race = Mapping[str, Any]


def race_table(race: Race) -> str:
    """PRQ under every protocol, surfaces, budget and cost; then the differences."""
    protocols = race["config"]["protocols"]
    parts = [_heading(race), _scores(race, protocols), _surfaces(race), _costs(race), _differences(race, protocols)]
    return "\n\n".join(part for part in parts if part) + "\n"


def ablation_table(ablations: Mapping[str, Any]) -> str:
    """A row an idea: what the network is worth without it, and what it adds. With little training the F1 of surfaces tells
    more than PRQ, for which a thing that is a little out of place does not exist.
    """
    race, reference = ablations["race"], ablations["race"]["reference"]
    (protocol, *_) = race["config"]["protocols"]
    rows = []
    for name, entry in race["entrants"].items():
        idea = "**all ideas**" if name == reference else ablations["ideas"].get(name, name)
        found = race["differences"].get(name)
        cells = [_percent(entry["results"][protocol]["prq"]), _added(found and found["protocols"].get(protocol))]
        for side in ("seen", "hidden"):
            change = found and found["visibility"].get(side, {}).get("f1")  # none within a single scene
            cells += [_percent(entry["visibility"][side]["f1"]), _added(change)]
        rows.append([idea, *cells, *_budget_cells(entry, "cpu_s")])
    quantities = ("PRQ", "F1 of seen surface", "F1 of hidden surface")
    header = ["without", *(cell for name in quantities for cell in (name, "it adds")), "samples seen", "CPU time"]
    note = f"`{protocol}`, {_split_text(race)}; differences paired over scenes. {ablations.get('note', '')}".strip()
    return f"{_markdown(header, rows)}\n\n{note}\n"


def _added(change: Mapping[str, Any] | None) -> str:
    if change is None:
        return ""
    if "interval" in change:
        change = {"difference": change["prq"], "low": change["interval"][0], "high": change["interval"][1]}
    return f"{_signed(change['difference'])} [{_signed(change['low'])}, {_signed(change['high'])}]"


def _heading(race: Race) -> str:
    return f"{_split_text(race)}; {race['machine']['hardware']}, commit {race['machine']['commit'] or 'unknown'}."


def _split_text(race: Race) -> str:
    split = race["split"]
    return f"{split['name']}: {split['size']} samples, sha256 {split['sha256'][:12]}"


def _scores(race: Race, protocols: Sequence[str]) -> str:
    rows = []
    for name, entry in race["entrants"].items():
        first = entry["results"][protocols[0]]
        rows.append(
            [
                _marked(name, entry),
                _with_interval(first),
                *(_percent(entry["results"][protocol]["prq"]) for protocol in protocols[1:]),
                *(_percent(first[key]) for key in ("rsq", "rrq")),
                *(_percent(first[group]["prq"]) for group in ("things", "stuff")),
            ]
        )
    header = ["", f"PRQ `{protocols[0]}`", *(f"`{name}`" for name in protocols[1:]), "RSQ", "RRQ", "things", "stuff"]
    note = f"RSQ, RRQ, things and stuff under `{protocols[0]}`; intervals at 95 % over scenes."
    has_oracle = any(not entry["is_score"] for entry in race["entrants"].values())
    oracle = " † no score: parts are taken from the ground truth." if has_oracle else ""
    return f"{_markdown(header, rows)}\n\n{note}{oracle}"


def _surfaces(race: Race) -> str:
    rows = []
    for name, entry in race["entrants"].items():
        cells = [
            _percent(entry["visibility"][side][key])
            for side in ("seen", "hidden")
            for key in ("recall", "precision", "f1", "right_class")
        ]
        rows.append([_marked(name, entry), *cells, _percent(entry["voxels"]["mean_iou"])])
    keys = ("recall", "precision", "F1", "right class")
    header = ["surface voxels", *(f"{side} {key}" for side in ("seen", "hidden") for key in keys), "mean IoU"]
    return _markdown(header, rows)


def _costs(race: Race) -> str:
    rows = []
    for name, entry in race["entrants"].items():
        cost = entry.get("cost")
        if "num_parameters" not in entry:
            continue
        photo = [""] * 3
        if cost is not None:
            end_to_end = [cost["photo"][kind] + cost["save"][kind] for kind in ("cpu_s", "wall_s")]
            photo = [f"{end_to_end[0]:.2f} s", f"{end_to_end[1]:.2f} s", f"{cost['peak_memory_mib']:,} MiB"]
        parameters = f"{entry['num_parameters'] / 1e6:.2f} M"
        rows.append([_marked(name, entry), parameters, *_budget_cells(entry), *photo])
    header = ["", "parameters", "samples seen", "wall", "a photo, files included: CPU", "wall", "memory at its peak"]
    return _markdown(header, rows) if rows else ""


def _differences(race: Race, protocols: Sequence[str]) -> str:
    rows = []
    for name, found in race["differences"].items():
        is_score = race["entrants"][name]["is_score"]
        for protocol in protocols if is_score else protocols[:1]:
            change = found["protocols"].get(protocol)
            if change is not None:
                relative = "" if change["relative"] is None else f"{100 * change['relative']:+.0f} %"
                low, high = change["interval"]
                cells = [
                    _signed(change["prq"]),
                    f"[{_signed(low)}, {_signed(high)}]",
                    relative,
                    f"{change['p_value']:.4f}",
                ]
                rows.append([name, f"PRQ `{protocol}`", *cells])
        for side, shares in found["visibility"].items():
            share = shares["f1"]
            cells = [_signed(share["difference"]), f"[{_signed(share['low'])}, {_signed(share['high'])}]", "", ""]
            rows.append([name, f"F1 of {side} surface", *cells])
    if not rows:
        return ""
    header = [f"{race['reference']} minus", "", "points", "95 %, paired over scenes", "relative", "p"]
    return _markdown(header, rows)


def _budget_cells(entry: Mapping[str, Any], clock: str = "wall_s") -> list[str]:
    """Samples seen, and time; by `cpu_s` where others ran on the machine."""
    budget = entry["budget"]
    if budget is None:
        return ["", ""]
    return [f"{budget['samples_seen']:,}", "" if budget[clock] is None else _duration(budget[clock] / 60)]


def _duration(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _marked(name: str, entry: Mapping[str, Any]) -> str:
    return name if entry["is_score"] else f"{name} †"


def _with_interval(result: Mapping[str, Any]) -> str:
    interval = result["interval"].get("prq")
    text = _percent(result["prq"])
    return text if interval is None else f"{text} [{_percent(interval[0])}, {_percent(interval[1])}]"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _signed(share: float) -> str:
    return f"{100 * share:+.2f}"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("race", metavar="RACE.json")
    parser.add_argument("--ablations", metavar="FILE", help="what ablations.py has written")
    parser.add_argument("--curve", action="append", default=[], metavar="NAME=RUN", help="a run's folder; repeatable")
    parser.add_argument("--metric", default="validation/prq", help="of metrics.jsonl (validation/prq)")
    parser.add_argument("--svg", metavar="FILE", help="where the curves go")
    asked = parser.parse_args(words)
    print(race_table(json.loads(Path(asked.race).read_text())))
    if asked.ablations:
        print(ablation_table(json.loads(Path(asked.ablations).read_text())))
    if asked.svg:
        runs = dict(word.split("=", 1) for word in asked.curve)
        write_text_atomically(asked.svg, draw(curves_of(runs, asked.metric), asked.metric))
    return 0


if __name__ == "__main__":
    sys.exit(main())
