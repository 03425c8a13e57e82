"""Fit the judge of predicted things (`JudgeConfig`): which of them a true thing matches.

    python -m eval.race.judge CHECKPOINT --fit ROOT [--fit-split train] --check ROOT [--check-split val] [--num 200]
        [--min-score 0.06] [--protocol strict] [--json FILE]

`--fit` gives the weights. Rooms that the network was trained on will do, since it matches hardly more of their things than
of others. `--check` says how well they work on rooms that neither has seen. Seeds are taken from `--min-score` on: things
that the decoder would not keep teach, too. The last line is for `eval.race.ship --set decode.judge=...`.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from panoptic3d.data.dataset import open_dataset
from panoptic3d.engine.evaluation.truth import true_frame_of
from panoptic3d.errors import InputError
from panoptic3d.files import write_text_atomically
from panoptic3d.metrics.calibration import auroc, expected_calibration_error
from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.panoptic_quality import score_sample
from panoptic3d.metrics.protocol import Protocol, load_protocol
from panoptic3d.models.checkpoints.find import find_checkpoint
from panoptic3d.models.checkpoints.load import load_network, network_config_of
from panoptic3d.models.clearview.config import ClearviewConfig, JudgeConfig, VoxelNetConfig
from panoptic3d.models.clearview.decode import SeedDecode
from panoptic3d.models.clearview.judge import FEATURES, chance_of
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.structures.sample import Sample

_RIDGE = 0.001  # of the weights of normalized features
_STEPS = 30
_ANY = JudgeConfig(bias=0, weights=(0.0,) * len(FEATURES))


class _Recording(SeedDecode):
    evidence: Tensor

    def chance_of(self, evidence: Float[Tensor, "k features"], judge: JudgeConfig) -> Float[Tensor, " k"]:
        self.evidence = evidence
        return super().chance_of(evidence, judge)


@dataclass(frozen=True, eq=False)
class JudgedThings:
    evidence: Float64[np.ndarray, "n features"]
    is_right: Bool[np.ndarray, " n"]


def things_of(
    network: Pipeline, config: ClearviewConfig, samples: Iterable[Sample], protocol: Protocol
) -> JudgedThings:
    """Every predicted thing that the protocol counts, with what the judge reads of it."""
    decode = _Recording(_with_judge(config, _ANY), config.voxel_net.truncation_vox, config.classes)
    evidence, is_right = [], []
    for sample in samples:
        with torch.inference_mode():
            (scene,) = decode(network(sample.image[None], (sample.camera,)))
        score = score_sample(LabelledVoxels.from_scene(scene), true_frame_of(sample).truth, protocol)
        matched = {pair.prediction for pair in score.matches}
        for number, segment in enumerate(score.prediction):
            if segment.instance_id > 0 and number not in score.excused:
                evidence.append(decode.evidence[segment.instance_id - 1].double().numpy())
                is_right.append(number in matched)
    if not any(is_right) or all(is_right):
        raise InputError("nothing can be learned where all things are right, or none; give more samples.")
    return JudgedThings(np.stack(evidence), np.array(is_right))


def fitted(things: JudgedThings) -> JudgeConfig:
    """By Newton's steps, on normalized features; the weights returned are of the plain ones."""
    mean, deviation = things.evidence.mean(axis=0), things.evidence.std(axis=0) + 1e-6
    rows = np.column_stack(((things.evidence - mean) / deviation, np.ones(len(things.evidence))))
    ridge = np.diag([2 * _RIDGE * len(rows)] * len(mean) + [0.0])
    weights = np.zeros(rows.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-rows @ weights))
        slope = rows.T @ (chance - things.is_right) + ridge @ weights
        weights -= np.linalg.solve((rows * (chance * (1 - chance))[:, None]).T @ rows + ridge, slope)
    plain = weights[:-1] / deviation
    tree = {"bias": float(weights[-1] - plain @ mean), "weights": plain.round(4).tolist()}
    return JudgeConfig.model_validate(tree)


def figures(things: JudgedThings, judge: JudgeConfig) -> dict[str, float]:
    """How well chances and the scores of the seeds tell right things from wrong ones."""
    chance = chance_of(torch.from_numpy(things.evidence), judge).numpy()
    logit = things.evidence[:, FEATURES.index("score")]
    score = 1 / (1 + np.exp(-logit))
    return {
        "num_things": len(things.is_right),
        "right": round(float(things.is_right.mean()), 4),
        "auroc": round(auroc(chance, things.is_right), 4),
        "auroc_of_seeds": round(auroc(score, things.is_right), 4),
        "calibration_error": round(expected_calibration_error(chance, things.is_right), 4),
        "calibration_error_of_seeds": round(expected_calibration_error(score, things.is_right), 4),
    }


def _with_judge(config: ClearviewConfig, judge: JudgeConfig) -> Any:
    return config.decode.model_copy(update={"judge": judge})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--fit", type=Path, required=True)
    parser.add_argument("--fit-split", default="train")
    parser.add_argument("--check", type=Path, required=True)
    parser.add_argument("--check-split", default="val")
    parser.add_argument("--num", type=int, default=200, help="samples of each, evenly over the split")
    parser.add_argument("--min-score", type=float, default=0.06)
    parser.add_argument("--protocol", default="strict")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    folder = find_checkpoint(options.checkpoint)
    config, protocol = _with_min_score(network_config_of(folder), options.min_score), load_protocol(options.protocol)
    network = load_network(folder, config=config)
    judge = fitted(things_of(network, config, _some(options.fit, options.fit_split, options.num), protocol))
    others = things_of(network, config, _some(options.check, options.check_split, options.num), protocol)
    found = figures(others, judge)
    print(json.dumps(found))
    print(judge.model_dump_json())
    if options.json is not None:
        write_text_atomically(
            options.json, json.dumps({"judge": judge.model_dump(), "figures": found}, indent=1) + "\n"
        )


def _with_min_score(config: Any, min_score: float) -> ClearviewConfig:
    net = getattr(config, "voxel_net", None)
    if not isinstance(config, ClearviewConfig) or not isinstance(net, VoxelNetConfig):
        raise InputError("only a checkpoint of clearview has things to judge.")
    seeds = net.seeds.model_copy(update={"min_score": min_score})
    return config.model_copy(update={"voxel_net": net.model_copy(update={"seeds": seeds})})


def _some(root: Path, split: str, num: int) -> Iterable[Sample]:
    data = open_dataset(root, split)
    step = max(1, len(data) // num)
    return (data[row] for row in range(0, min(len(data), step * num), step))


if __name__ == "__main__":
    main()
