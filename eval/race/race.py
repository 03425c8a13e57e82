"""A fair race: every entrant on the same samples under every protocol, with what it cost, in one JSON.

    python -m eval.race.race RACE.yaml [--num_samples 300] [--out DIR]

RACE.yaml is a `RaceConfig` (eval/race/entrants.py). OUT/race.json is the result, OUT/<entrant>/ what each was scored by: the
records of the evaluator, from which a second call goes on without scoring anything again, and its full results.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eval.race.budget import budget_of, checkpoint_of
from eval.race.cost import measured_apart
from eval.race.entrants import Entrant, RaceConfig, folder_name, network_of, predictions_of
from eval.race.mean_room import MeanRoomPredictions
from eval.race.table import race_table
from panoptic3d.config import load_config
from panoptic3d.data.roots import open_root
from panoptic3d.data.splits import Split, split_of_keys
from panoptic3d.engine.evaluation.network import NetworkPredictions
from panoptic3d.engine.evaluation.result import result_of, sums_from_rows
from panoptic3d.engine.evaluation.score import EvaluationPlan, check_predictions_folder, evaluate_split
from panoptic3d.errors import InputError
from panoptic3d.files import write_text_atomically
from panoptic3d.machine import describe_machine
from panoptic3d.metrics.bootstrap import paired_interval, paired_test
from panoptic3d.metrics.hidden_surface import HIDDEN, SEEN, surface_scores
from panoptic3d.metrics.protocol import load_protocol

_SCORES = ("prq", "rsq", "rrq", "things", "stuff", "per_class", "interval", "num_samples", "num_failed", "num_skipped")
_SHARES = ("precision", "recall", "f1", "right_class")


def run(config: RaceConfig) -> dict[str, Any]:
    torch.set_num_threads(config.num_threads)
    split = prefix(open_root(config.data).split(config.split), config.num_samples)
    entrants, results = {}, {}
    for name, entrant in config.entrants.items():
        results[name] = scored(config, name, entrant, split)
        entrants[name] = entry(config, name, entrant, results[name])
    reference = config.reference or next(iter(config.entrants))
    others = [name for name in results if name != reference]
    race = {
        "split": split.describe(),
        "machine": describe_machine(),
        "config": config.model_dump(mode="json"),
        "reference": reference,
        "entrants": entrants,
        "differences": {name: differences(results[name], results[reference], config.num_resamples) for name in others},
    }
    write_text_atomically(Path(config.out) / "race.json", json.dumps(race, indent=1, allow_nan=False) + "\n")
    return race


def prefix(split: Split, num_samples: int | None) -> Split:
    if num_samples is None or num_samples == len(split):
        return split
    if num_samples > len(split):
        raise InputError(f"the split {split.name} has {len(split)} samples where {num_samples} were asked for.")
    return split_of_keys(f"first {num_samples} of {split.name}", list(split.keys[:num_samples]))


def scored(config: RaceConfig, name: str, entrant: Entrant, split: Split) -> list[dict[str, Any]]:
    """One result of the evaluator a protocol; what was scored before is taken from the records."""
    folder = folder_of(config, name)
    predictions = predictions_of(entrant, torch.device(config.device), folder)
    if isinstance(predictions, Path):
        check_predictions_folder(predictions, split)
    folder.mkdir(parents=True, exist_ok=True)
    protocols = tuple(load_protocol(protocol) for protocol in config.protocols)
    plan = EvaluationPlan(open_root(config.data), predictions, protocols, entrant.oracles)
    records = evaluate_split(plan, split, folder / "records.jsonl", config.num_threads, partial(_report, name))
    given = [*entrant.given, *entrant.oracles, *(["surface"] if entrant.kind == "true-surface" else [])]
    facts = predictions.facts if isinstance(predictions, NetworkPredictions) else {}
    results = [
        result_of(records, protocol, split, source={"entrant": name}, checkpoint=facts, oracles=given)
        for protocol in protocols
    ]
    if results[0]["bad_truth"]:
        raise InputError(
            f"{len(results[0]['bad_truth'])} samples cannot be scored: {results[0]['bad_truth'][0]['message']}"
        )
    write_text_atomically(folder / "results.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
    return results


def entry(config: RaceConfig, name: str, entrant: Entrant, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An entrant's scores, and what it is."""
    checkpoint = checkpoint_of(Path(entrant.path)) if entrant.has_network else None
    made: dict[str, Any] = {
        **entrant.model_dump(mode="json", include={"kind", "given", "oracles", "network"}),
        "is_score": entrant.is_score,
        "results": {result["protocol"]: {key: result[key] for key in _SCORES} for result in results},
        "visibility": results[0]["visibility"],
        "voxels": {key: results[0]["voxels"][key] for key in ("mean_iou", "occupancy_iou")},
        "budget": None if checkpoint is None else budget_of(checkpoint),
    }
    if checkpoint is not None and entrant.kind == "network" and made["is_score"]:
        made["checkpoint"] = results[0]["checkpoint"]
        folder, stamp = folder_of(config, name), results[0]["checkpoint"]
        made |= _once(folder / "cost.json", stamp, lambda: _cost(config, network_of(entrant, folder)))
    if entrant.kind == "mean-room":
        predictions = predictions_of(entrant, torch.device(config.device), folder_of(config, name))
        assert isinstance(predictions, MeanRoomPredictions)
        made |= _once(folder_of(config, name) / "made.json", predictions.stamp, lambda: {"made": predictions.made[1]})
    return made


def differences(
    results: Sequence[Mapping[str, Any]], reference: Sequence[Mapping[str, Any]], num_resamples: int
) -> dict[str, Any]:
    """Reference minus this entrant, paired over scenes."""
    found: dict[str, Any] = {}
    for own, other in zip(results, reference, strict=True):
        scenes = sorted(own["per_scene"])
        a, b = (np.stack([sums_from_rows(r["per_scene"][scene]) for scene in scenes]) for r in (own, other))
        if len(scenes) > 1:
            test = paired_test(a, b, own["mean_over"], num_resamples=num_resamples)
            interval = [test.interval.low, test.interval.high]
            relative = test.difference / own["prq"] if own["prq"] > 0 else None
            found[own["protocol"]] = {
                "prq": test.difference,
                "interval": interval,
                "p_value": test.p_value,
                "relative": relative,
                "num_scenes": test.num_scenes,
            }
    return {"protocols": found, "visibility": _visibility_differences(results[0], reference[0], num_resamples)}


def _visibility_differences(own: Mapping[str, Any], other: Mapping[str, Any], num_resamples: int) -> dict[str, Any]:
    scenes = sorted(own["visibility_per_scene"])
    if len(scenes) < 2:
        return {}
    a, b = (np.asarray([r["visibility_per_scene"][scene] for scene in scenes]) for r in (own, other))
    found: dict[str, Any] = {}
    for name, row in (("seen", SEEN), ("hidden", HIDDEN)):
        for column, share in enumerate(_SHARES):
            score = partial(_share_of, row=row, column=column)
            difference, interval = paired_interval(a, b, score, num_resamples=num_resamples)
            found.setdefault(name, {})[share] = {"difference": difference, **asdict(interval)}
    return found


def _share_of(counts: np.ndarray, row: int, column: int) -> np.ndarray:
    return surface_scores(counts[..., row, :])[..., column]


def folder_of(config: RaceConfig, name: str) -> Path:
    return Path(config.out) / folder_name(name)


def _cost(config: RaceConfig, checkpoint: Path) -> dict[str, Any]:
    network = NetworkPredictions(checkpoint, torch.device("cpu")).network
    facts: dict[str, Any] = {"num_parameters": sum(p.numel() for p in network.parameters())}
    if config.num_cost_photos:
        facts["cost"] = measured_apart(
            checkpoint, config.data, config.split, config.num_cost_photos, config.num_threads
        )
    return facts


def _once(path: Path, stamp: Any, make: Any) -> dict[str, Any]:
    """What was made for the same stamp before, or it is made and kept."""
    if path.exists():
        kept = json.loads(path.read_text())
        if kept["stamp"] == stamp:
            return kept["facts"]
    facts = make()
    write_text_atomically(path, json.dumps({"stamp": stamp, "facts": facts}, indent=1) + "\n")
    return facts


def _report(name: str, done: int, total: int) -> None:
    if done == total or done % 10 == 0:
        print(f"{name}: {done}/{total} samples", file=sys.stderr, flush=True)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("config", metavar="RACE.yaml")
    asked, overrides = parser.parse_known_args(words)
    print(race_table(run(load_config(RaceConfig, asked.config, overrides))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
