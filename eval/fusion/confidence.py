"""Whether the confidence of predicted voxels means anything, and the weights that it is made of.

python -m eval.fusion.confidence --data ROOT --rooms 20 [--checkpoint tiny] [--views 8] [--fit] [--json FILE]
A voxel at a predicted surface is right if there is a true surface of its class within a voxel along every axis. `--fit`
finds the weights (`ConfidenceConfig`); use validation rooms for it. `--predictions DIR` scores scenes that another
measurement has kept (`eval.fusion.table`), and keeps those that it lacks.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int64
from scipy.ndimage import maximum_filter
from torch import Tensor

from eval.fusion.predicted import PredictedViews
from panoptic3d.data.roots import open_root
from panoptic3d.errors import InputError
from panoptic3d.metrics.calibration import auroc, expected_calibration_error, sparsification_error
from panoptic3d.models.checkpoints.find import find_checkpoint
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.clearview.confidence import confidence_of
from panoptic3d.models.clearview.config import ConfidenceConfig
from panoptic3d.models.clearview.decode import SeedDecode
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.structures.ray_confidence import ray_confidence
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.scene import PanopticScene

_MOST_VOXELS = 20_000  # of a view: neighbours say the same again
_WEIGHTS = ("occupied", "log_spread", "log_depth")


class Recording(SeedDecode):
    """Keeps what the confidence of the last scene was made of."""

    evidence: Tensor

    def confidence_of(self, evidence: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        self.evidence = evidence
        return torch.arange(1, len(evidence) + 1, dtype=torch.float64)  # where each voxel has its row


@dataclass(frozen=True, eq=False)
class Voxels:
    """Some of those at the predicted surfaces, inside of the frustum."""

    evidence: Float64[np.ndarray, "n k"]
    is_place: Bool[np.ndarray, " n"]  # a true surface is there
    is_right: Bool[np.ndarray, " n"]  # and it has the same class

    @classmethod
    def of(
        cls, scene: PanopticScene, evidence_at: Callable[[Int64[Tensor, "n 3"]], Tensor], sample: Sample, seed: int
    ) -> "Voxels":
        truth = sample.truth
        assert truth is not None
        at = ((scene.distance_vox < 1) & (scene.semantic > 0) & truth.frustum_mask).nonzero()
        if len(at) > _MOST_VOXELS:
            at = at[torch.randperm(len(at), generator=torch.Generator().manual_seed(seed))[:_MOST_VOXELS]]
        true = torch.where(truth.dense_distance_vox().abs() < 1, truth.dense_semantic(), 0).numpy()
        predicted, index = scene.semantic[tuple(at.T)].numpy(), tuple(at.T.numpy())
        is_right = np.zeros(len(at), np.bool_)
        for class_id in np.unique(predicted):
            own = predicted == class_id
            is_right[own] = maximum_filter(true == class_id, 3)[tuple(axis[own] for axis in index)]
        return cls(evidence_at(at).double().numpy(), maximum_filter(true > 0, 3)[index], is_right)

    @classmethod
    def joined(cls, parts: Sequence["Voxels"]) -> "Voxels":
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def scores(voxels: Voxels, confidence: Float64[np.ndarray, " n"]) -> dict[str, Any]:
    return {
        "num_voxels": len(confidence),
        "right": float(voxels.is_right.mean()),
        "right_place": float(voxels.is_place.mean()),
        "auroc": auroc(confidence, voxels.is_right),
        "auroc_of_place": auroc(confidence, voxels.is_place),
        "ece": expected_calibration_error(confidence, voxels.is_right),
        "ause": sparsification_error(confidence, voxels.is_right),
    }


def fitted(voxels: Voxels) -> ConfidenceConfig:
    """The likeliest weights."""
    evidence = torch.from_numpy(voxels.evidence)
    middle, width = evidence.mean(dim=0), evidence.std(dim=0)
    inputs = torch.cat(((evidence - middle) / width, evidence.new_ones(len(evidence), 1)), dim=1)
    weights = evidence.new_zeros(len(_WEIGHTS) + 1, requires_grad=True)
    search = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")
    target = torch.from_numpy(voxels.is_right).double()

    def loss() -> Tensor:
        search.zero_grad()
        value = F.binary_cross_entropy_with_logits(inputs @ weights, target)
        value.backward()
        return value

    search.step(loss)
    found = weights.detach()[:-1] / width
    bias = float(weights.detach()[-1] - (found * middle).sum())
    return ConfidenceConfig(
        bias=round(bias, 3), **{name: round(float(value), 3) for name, value in zip(_WEIGHTS, found, strict=True)}
    )


@torch.inference_mode()
def predicted_voxels(network: Pipeline, samples: Iterable[Sample]) -> Voxels:
    decode = network.decode
    assert isinstance(decode, Recording)
    parts = []
    for number, sample in enumerate(samples):
        (scene,) = network.infer(sample.image[None], (sample.camera,))
        parts.append(Voxels.of(scene, partial(_evidence_at, scene, decode.evidence), sample, number))
    return Voxels.joined(parts)


def _evidence_at(scene: PanopticScene, evidence: Tensor, at: Int64[Tensor, "n 3"]) -> Tensor:
    assert scene.confidence is not None
    return evidence[scene.confidence[tuple(at.T)].long() - 1]


def kept_voxels(views: PredictedViews, samples: Iterable[Sample]) -> Voxels:
    """What finished scenes say: their confidence, and exp(-spread) of the ray."""
    scenes = ((views.scene(sample), sample) for sample in samples)
    return Voxels.joined([Voxels.of(s, partial(_told_at, s), sample, n) for n, (s, sample) in enumerate(scenes)])


def _told_at(scene: PanopticScene, at: Int64[Tensor, "n 3"]) -> Tensor:
    assert scene.confidence is not None
    assert scene.depth_map is not None
    rays = ray_confidence(scene.depth_map, scene.camera, scene.grid.camera_from_index(at.double()), 1.0, 0.0)
    return torch.stack((scene.confidence[tuple(at.T)].double(), rays.double()), dim=1)


def product_of(evidence: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, " n"]:
    """P(occupied) x exp(-spread), without weights."""
    return ray_of(evidence) / (1 + np.exp(-evidence[:, 0]))


def ray_of(evidence: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, " n"]:
    """exp(-spread) alone, at most 1."""
    return np.minimum(np.exp(-4 - evidence[:, 1]), 1)


def table(rows: dict[str, dict[str, Any]]) -> str:
    first = next(iter(rows.values()))
    lines = [
        f"{first['num_voxels']:,} voxels: {first['right_place']:.1%} in the right place, {first['right']:.1%} of its class."
    ]
    lines += ["", "| confidence | AUROC | of the place alone | ECE | AUSE |", "| --- | --- | --- | --- | --- |"]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {row['auroc']:.3f} | {row['auroc_of_place']:.3f} | {row['ece']:.3f} | {row['ause']:.3f} |"
        )
    return "\n".join(lines)


def _rows_of_network(checkpoint: Path, samples: Iterable[Sample], fits: bool) -> dict[str, dict[str, Any]]:
    network = load_network(checkpoint)
    if not isinstance(network.decode, SeedDecode):
        raise InputError(f"{checkpoint.name} predicts no confidence; give a checkpoint of clearview.")
    config = network.decode.config.confidence
    network.decode = Recording(network.decode.config, network.decode.truncation_vox, network.decode.taxonomy)
    voxels = predicted_voxels(network, samples)
    if fits:
        config = fitted(voxels)
        print(f"fitted: {config}\n")
    return {
        "confidence": scores(voxels, confidence_of(torch.from_numpy(voxels.evidence), config).numpy()),
        "P(occupied) x exp(-spread)": scores(voxels, product_of(voxels.evidence)),
        "exp(-spread) alone": scores(voxels, ray_of(voxels.evidence)),
    }


def _rows_of_scenes(voxels: Voxels) -> dict[str, dict[str, Any]]:
    return {
        name: scores(voxels, voxels.evidence[:, column])
        for column, name in enumerate(("confidence", "exp(-spread) alone"))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rooms", type=int, default=20)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--checkpoint")
    parser.add_argument(
        "--predictions", type=Path, metavar="DIR", help="what the network says of each view is kept here"
    )
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    data, checkpoint = open_root(arguments.data), find_checkpoint(arguments.checkpoint)
    rooms = sorted({key.partition("/")[0] for key in data.split(None).keys})[: arguments.rooms]
    own = {room: [key for key in data.split(None).keys if key.startswith(f"{room}/")] for room in rooms}
    keys = [key for room in rooms for key in own[room][: arguments.views]]
    samples = (data.read(key) for key in keys)
    if arguments.predictions is not None:
        if arguments.fit:
            raise InputError("--fit needs what a network says beside its scenes; leave --predictions out.")
        rows = _rows_of_scenes(kept_voxels(PredictedViews(checkpoint, arguments.predictions), samples))
    else:
        rows = _rows_of_network(checkpoint, samples, arguments.fit)
    print(table(rows))
    if arguments.json:
        facts = {"checkpoint": checkpoint.name, "num_rooms": len(rooms), "views": arguments.views, "rows": rows}
        arguments.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
