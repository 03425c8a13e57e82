"""Measures beside PRQ and surfaces: average precision of things, PQ over whole scenes, depth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from panoptic3d.metrics.average_precision import MaskSet, OverlapTable, overlap_table, precision_of
from panoptic3d.metrics.depth import DepthAlignment, depth_scores
from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.measured_sample import MeasuredSample
from panoptic3d.metrics.scene_quality import scene_quality


@dataclass(frozen=True)
class ThingPrecision:
    """Class-agnostic, over the labelled voxels. Things without a score have 1: then their order does not count."""

    name: str = "ap"
    min_voxels: int = 100

    def score(self, sample: MeasuredSample) -> Mapping[str, Any]:
        prediction, truth = sample.prediction, sample.truth.voxels
        cells = np.union1d(prediction.linear_index, truth.linear_index)
        things = sample.taxonomy.thing_ids
        ids, masks = _masks(prediction, cells, things)
        scores = np.array([sample.scores.get(int(i), 1.0) for i in ids])
        table = overlap_table(MaskSet(masks, scores), MaskSet(_masks(truth, cells, things)[1]), self.min_voxels)
        return {"iou": table.iou.tolist(), "scores": table.scores.tolist(), "ignored": table.ignored_share.tolist(),
                "num_true": table.iou.shape[1]}  # fmt: skip

    def merge(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, float]:
        tables = [
            OverlapTable(
                np.array(row["iou"]).reshape(-1, row["num_true"]), np.array(row["scores"]), np.array(row["ignored"])
            )
            for row in rows
        ]
        return vars(precision_of(tables))


@dataclass(frozen=True)
class SceneQuality:
    """Every image's volume is a scene; counts are summed over the set, so that a scene fused from views counts as one."""

    name: str = "pq-scene"

    def score(self, sample: MeasuredSample) -> Mapping[str, Any]:
        prediction, truth = sample.prediction, sample.truth.voxels
        cells = np.union1d(prediction.linear_index, truth.linear_index)
        kinds = {k: [c.id for c in sample.taxonomy.classes if c.kind == k] for k in ("thing", "stuff")}
        sides = [spread for voxels in (prediction, truth) for spread in _spread(voxels, cells)]
        scores = scene_quality(*sides, things=kinds["thing"], stuff=kinds["stuff"])
        return {sample.taxonomy[c].name: [s.sq * s.tp, s.tp, s.fp, s.fn] for c, s in scores.per_class.items()}

    def merge(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, float]:
        sums: dict[str, np.ndarray] = {}
        for row in rows:
            for name, counts in row.items():
                sums[name] = sums.get(name, np.zeros(4)) + np.array(counts)
        per_class = {name: iou / (tp + fp / 2 + fn / 2) for name, (iou, tp, fp, fn) in sums.items()}
        return {"pq": float(np.mean(list(per_class.values()) or [0.0])), **{n: float(v) for n, v in per_class.items()}}


@dataclass(frozen=True)
class DepthErrors:
    """Errors of a network's depth, as means over images. Prediction files have no depth."""

    name: str = "depth"
    alignment: DepthAlignment = "none"

    def score(self, sample: MeasuredSample) -> Mapping[str, Any] | None:
        if sample.depth_m is None or sample.true_depth_m is None or sample.depth_m.shape != sample.true_depth_m.shape:
            return None
        scores = depth_scores(sample.depth_m, sample.true_depth_m, self.alignment)
        return None if scores is None else {name: getattr(scores, name) for name in _DEPTH}

    def merge(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, float]:
        return {name: float(np.mean([row[name] for row in rows])) for name in _DEPTH} if rows else {}


_DEPTH = ("abs_rel", "rmse_m", "rmse_log", "scale_invariant_log", "within_1_25")
AP, PQ_SCENE, DEPTH = ThingPrecision(), SceneQuality(), DepthErrors()


def _spread(voxels: LabelledVoxels, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Class and instance at cells that hold those of the voxels."""
    at = np.searchsorted(cells, voxels.linear_index)
    semantic, instance = np.zeros(len(cells), np.int64), np.zeros(len(cells), np.int64)
    semantic[at], instance[at] = voxels.semantic, voxels.instance
    return semantic, instance


def _masks(voxels: LabelledVoxels, cells: np.ndarray, things: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    semantic, instance = _spread(voxels, cells)
    instance = np.where(np.isin(semantic, list(things)), instance, 0)
    ids = np.unique(instance[instance > 0])
    return ids, instance[None] == ids[:, None]
