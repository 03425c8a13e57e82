"""What fusing the views of a room is worth, against its controls, with paired intervals over rooms.

python -m eval.fusion.table --data ROOT --rooms 20 --json OUT.jsonl [--checkpoint tiny | --truth] > TABLE.md
A room that is in OUT.jsonl already is not measured again, and `--predictions DIR` keeps what the network says of each view.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.fusion.predicted import PredictedViews
from eval.fusion.rooms import NUM_SCORED, measured, read_room
from panoptic3d.data.roots import open_root
from panoptic3d.metrics.bootstrap import mean_scores, paired_test
from panoptic3d.metrics.hidden_surface import HIDDEN, SEEN, surface_scores
from panoptic3d.metrics.protocol import load_protocol
from panoptic3d.models.checkpoints.find import find_checkpoint
from panoptic3d.predictor.fusion.config import FusionConfig
from panoptic3d.randomness import numpy_generator

_F1 = 2


def main() -> None:
    arguments = _arguments()
    protocol, data = load_protocol(arguments.protocol), open_root(arguments.data)
    names = sorted({key.partition("/")[0] for key in data.split(None).keys})[arguments.skip :][: arguments.rooms]
    views = None if arguments.truth else PredictedViews(find_checkpoint(arguments.checkpoint), arguments.predictions)
    known = _known(arguments.json)
    for name in names:
        if name not in known:
            room = read_room(data, name, arguments.views, views)
            known[name] = measured(room, protocol, arguments.seen, arguments.held_out, FusionConfig())
            with arguments.json.open("a") as file:
                file.write(json.dumps(known[name]) + "\n")
    print(table([known[name] for name in names]))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """PRQ pooled over all views; differences to the photo alone are paired over rooms."""
    lines = [f"{len(rows)} rooms x {rows[0]['num_views']} views, `strict`.", ""]
    lines += ["| scene | PRQ | against its photo | F1 seen | F1 hidden |", "| --- | --- | --- | --- | --- |"]
    photo = _sums(rows, "photo", "prq")
    for way in ("photo", "fused", "no association", "no association, nothing dropped", "poses shuffled"):
        own = _sums(rows, way, "prq")
        prq = float(mean_scores(own.sum(axis=0), "classes_seen")[0])
        change = "" if way == "photo" else _change(photo, own)
        lines.append(
            f"| {way} | {100 * prq:.2f} | {change} | {_f1(rows, way, SEEN):.2f} | {_f1(rows, way, HIDDEN):.2f} |"
        )
    seen = [way for way in rows[0]["sums"] if way.endswith(" views")]
    if seen:
        lines += [
            "",
            f"| views fused (scored on the first {NUM_SCORED}) | F1 seen | F1 hidden |",
            "| --- | --- | --- |",
        ]
        lines += [f"| {way.split()[0]} | {_f1(rows, way, SEEN):.2f} | {_f1(rows, way, HIDDEN):.2f} |" for way in seen]
    return "\n".join(lines + _held_out(rows))


def _held_out(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """PQ_scene of views that were not fused, with the paired difference over rooms."""
    rooms = [row["held_out"] for row in rows if row["held_out"]]
    if not rooms:
        return []
    fused = np.array([room["fused"] for room in rooms])
    lines = ["", f"PQ_scene of held-out views: {100 * fused.mean():.2f} fused."]
    for way in list(rooms[0])[1:]:
        apart = np.array([room[way] for room in rooms])
        low, high = 100 * np.quantile(_means(fused - apart), [0.025, 0.975])
        lines.append(f"{way}: {100 * apart.mean():.2f}, fused against it [{low:+.2f}, {high:+.2f}].")
    return lines


def _means(values: np.ndarray) -> np.ndarray:
    """Of rooms drawn with replacement."""
    random = numpy_generator(0, "rooms of fused scenes")
    return values[random.integers(0, len(values), (2000, len(values)))].mean(axis=1)


def _change(photo: np.ndarray, own: np.ndarray) -> str:
    if len(own) < 2:
        return "one room"
    test = paired_test(photo, own, "classes_seen")
    base = float(mean_scores(photo.sum(axis=0), "classes_seen")[0])
    low, high = 100 * test.interval.low, 100 * test.interval.high
    return f"{100 * test.difference:+.2f} [{low:+.2f}, {high:+.2f}], {test.difference / base:+.1%}"


def _sums(rows: Sequence[Mapping[str, Any]], way: str, kind: str) -> np.ndarray:
    """Of each room, over its views."""
    return np.array([np.sum([view[kind] for view in row["sums"][way]], axis=0) for row in rows], np.int64)


def _f1(rows: Sequence[Mapping[str, Any]], way: str, side: int) -> float:
    return 100 * float(surface_scores(_sums(rows, way, "visibility").sum(axis=0))[side, _F1])


def _known(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    return {row["room"]: row for row in map(json.loads, path.read_text().splitlines())}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rooms", type=int, default=20)
    parser.add_argument("--skip", type=int, default=0, help="rooms at the start that are left to another process")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--seen", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument(
        "--held-out", type=int, default=2, help="views that PQ_scene is measured on; the others are fused"
    )
    parser.add_argument(
        "--predictions", type=Path, metavar="DIR", help="what the network says of each view is kept here"
    )
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--protocol", default="strict")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--checkpoint")
    source.add_argument("--truth", action="store_true", help="the ceiling: true scenes with shuffled ids")
    return parser.parse_args()


if __name__ == "__main__":
    main()
