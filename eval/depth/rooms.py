"""What depth from elsewhere is worth on rooms: columns side by side, each with its gain over photos alone.

    python -m eval.depth.rooms --data ROOT --split LIST --out DIR [--checkpoint tiny] [--only photo truth ...]

Columns: `photo`; `given` (the row marked with a dagger in races: true depth in place of the network's, all else left alone);
`truth` (`evaluate --depth truth`); `sensor` (with the faults of a calibrated sensor, whose scale is right within 1 %);
`faults` (all that a training draws, a scale of 0.9 to 1.1 among them); `unscaled` (the same, told as depth of unknown scale,
`--depth-kind scale`: the network's own depth says how large it is). OUT/rooms.json has scores, gains and their intervals
(paired, over scenes). Records are kept in OUT: a second call scores nothing again.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from eval.race.given_truth import GivenTruthPredictions
from eval.race.race import differences
from panoptic3d.data.roots import open_root
from panoptic3d.data.sensor_faults import SensorFaults
from panoptic3d.data.splits import find_split
from panoptic3d.engine.evaluation.depth_supply import TrueDepth
from panoptic3d.engine.evaluation.network import NetworkPredictions
from panoptic3d.engine.evaluation.result import result_of
from panoptic3d.engine.evaluation.score import EvaluationPlan, evaluate_split
from panoptic3d.files import write_text_atomically
from panoptic3d.machine import describe_machine
from panoptic3d.metrics.protocol import load_protocol
from panoptic3d.models.checkpoints.find import find_checkpoint

COLUMNS = ("photo", "given", "truth", "sensor", "faults", "unscaled")
CALIBRATED = SensorFaults(scale=(0.99, 1.01))
_PROTOCOL = "strict"


def predictions_of(column: str, checkpoint: Path) -> NetworkPredictions:
    device = torch.device("cpu")
    match column:
        case "photo":
            return NetworkPredictions(checkpoint, device)
        case "given":
            return GivenTruthPredictions(checkpoint, device, given=("depth",))
        case "truth":
            return NetworkPredictions(checkpoint, device, TrueDepth())
        case "sensor":
            return NetworkPredictions(checkpoint, device, TrueDepth(CALIBRATED))
        case "faults":
            return NetworkPredictions(checkpoint, device, TrueDepth(SensorFaults()))
        case _:
            return NetworkPredictions(checkpoint, device, TrueDepth(SensorFaults(), kind="scale"))


def measured(data: str, split_name: str, out: Path, checkpoint: str, columns: Sequence[str]) -> dict[str, Any]:
    split, protocol, results = find_split(data, split_name), load_protocol(_PROTOCOL), {}
    for column in columns:
        predictions = predictions_of(column, find_checkpoint(checkpoint))
        plan = EvaluationPlan(open_root(data), predictions, (protocol,))
        records = evaluate_split(plan, split, out / f"{column}.jsonl", 1, _report(column))
        depth = None if predictions.depth is None else predictions.depth.facts
        results[column] = result_of(records, protocol, split, source={"column": column}, depth=depth)
    photo = results.get("photo")
    return {
        "split": split.describe(),
        "machine": describe_machine(),
        "checkpoint": NetworkPredictions(find_checkpoint(checkpoint), torch.device("cpu")).facts,
        "columns": {column: scores_of(result) for column, result in results.items()},
        "gains": {
            column: gain_of(photo, result)
            for column, result in results.items()
            if photo is not None and column != "photo"
        },
    }


def scores_of(result: Mapping[str, Any]) -> dict[str, float]:
    visible = result["visibility"]
    return {
        "prq": result["prq"],
        "things": result["things"]["prq"],
        "stuff": result["stuff"]["prq"],
        "f1_seen": visible["seen"]["f1"],
        "f1_hidden": visible["hidden"]["f1"],
        "num_failed": result["num_failed"],
    }


def gain_of(photo: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Of the column over photos alone: difference and interval."""
    found = differences([photo], [result], 2000)
    prq, seen = found["protocols"][_PROTOCOL], found["visibility"]
    return {
        "prq": [prq["prq"], *prq["interval"]],
        **{f"f1_{n}": [seen[n]["f1"][k] for k in ("difference", "low", "high")] for n in ("seen", "hidden")},
    }


def _report(column: str) -> Any:
    return lambda done, total: print(f"\r{column}: {done}/{total}", end="" if done < total else "\n", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--checkpoint", default="tiny")
    parser.add_argument("--only", nargs="+", choices=COLUMNS, default=list(COLUMNS))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found = measured(options.data, options.split, options.out, options.checkpoint, options.only)
    write_text_atomically(options.out / "rooms.json", json.dumps(found, indent=1, allow_nan=False) + "\n")
    for column, scores in found["columns"].items():
        print(column, *(f"{name} {100 * value:.2f}" for name, value in scores.items() if name != "num_failed"))


if __name__ == "__main__":
    main()
