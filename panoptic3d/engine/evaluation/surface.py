"""Surface and voxel scores, and what is seen apart from what is hidden, beside PRQ in one pass over the images."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from panoptic3d.data.predictions import PredictedVoxels
from panoptic3d.data.volumes import Sparse
from panoptic3d.engine.evaluation.truth import TrueFrame
from panoptic3d.metrics.hidden_surface import HIDDEN, SEEN, TRUE, View, score_of, surface_counts
from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.surface import SurfaceScores, surface_scores
from panoptic3d.metrics.surface_points import SurfacePoints, points_of_field
from panoptic3d.metrics.surface_protocol import SurfaceProtocol
from panoptic3d.metrics.voxel_iou import VoxelConfusion
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, FAR_VOX
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy


def surface_rows(
    prediction: PredictedVoxels, true_distance: Sparse, grid: VoxelGrid, protocols: Sequence[SurfaceProtocol]
) -> dict[str, dict[str, Any]]:
    """Protocol -> the scores of one image, as plain data."""
    truth = points_of_field(_dense(true_distance.index, true_distance.values, FAR_VOX, grid), grid)
    field = _dense(prediction.linear_index, prediction.distance_vox, DISTANCE_TRUNCATION_VOX, grid)
    is_thing = np.zeros(grid.shape, dtype=bool)
    is_thing.reshape(-1)[prediction.linear_index[prediction.instance > 0]] = True
    everything, things = points_of_field(field, grid), points_of_field(field, grid, is_thing)
    return {protocol.name: _row(everything, things, truth, protocol) for protocol in protocols}


def mean_surface(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over images. Distances over the images that have them, with their number; F over all images."""
    if not rows:
        return {}
    keys = ("chamfer", "chamfer_objects", "accuracy", "completeness", "normal_consistency", "sampling_floor")
    means: dict[str, Any] = {"num_samples": len(rows)}
    for key in keys:
        values = [row[key] for row in rows if row[key] is not None]
        means[key] = float(np.mean(values)) if values else None
    means["num_without_surface"] = sum(row["chamfer"] is None for row in rows)
    means["alignment"] = next((row["alignment"] for row in rows if row["chamfer"] is not None), "none")
    for place, at in enumerate(rows[0]["at"]):
        scores = {
            key: float(np.mean([row["at"][place][key] for row in rows])) for key in ("precision", "recall", "f_score")
        }
        means.setdefault("at", []).append({"threshold": at["threshold"], **scores})
    return means


def voxel_rows(confusion: VoxelConfusion) -> list[list[int]]:
    """True class, predicted class, voxels; without what is empty on both sides."""
    pairs = np.argwhere(confusion.counts).tolist()
    return [[t, p, int(confusion.counts[t, p])] for t, p in pairs if t or p]


def voxel_scores(rows: Iterable[Iterable[Sequence[int]]], taxonomy: Taxonomy = FRONT3D_TAXONOMY) -> dict[str, Any]:
    total = VoxelConfusion.zero()
    for row in rows:
        for truth, predicted, count in row:
            total.counts[truth, predicted] += count
    per_class = {taxonomy[c].name: iou for c, iou in total.class_iou().items()}
    return {"mean_iou": total.mean_iou, "occupancy_iou": total.occupancy_iou, "per_class": per_class}


def visibility_rows(prediction: LabelledVoxels, frame: TrueFrame) -> list[list[int]]:
    """Counts of what the image shows and of what it does not; nothing without a depth map."""
    if frame.depth_m is None:
        return []
    view = View(frame.grid, frame.camera, frame.depth_m)
    return surface_counts(prediction, frame.truth.voxels, view, frame.truth.frustum.mask).tolist()


def visibility_scores(rows: Iterable[Sequence[Sequence[int]]]) -> dict[str, Any]:
    """`seen` and `hidden`: precision, recall, F1 at a voxel, share of right classes, and the number of true voxels."""
    total = np.sum([np.zeros((2, 5), dtype=np.int64), *(np.asarray(row) for row in rows if row)], axis=0)
    named = {"seen": total[SEEN], "hidden": total[HIDDEN]}
    return {name: vars(score_of(counts)) | {"num_voxels": int(counts[TRUE])} for name, counts in named.items()}


def _row(
    everything: SurfacePoints, things: SurfacePoints, truth: SurfacePoints, protocol: SurfaceProtocol
) -> dict[str, Any]:
    scores = surface_scores(everything, truth, protocol)
    objects = surface_scores(things, truth, protocol) if protocol.alignment == "none" else None
    return _plain(scores) | {"chamfer_objects": None if objects is None else objects.accuracy}


def _plain(scores: SurfaceScores) -> dict[str, Any]:
    names = ("chamfer", "accuracy", "completeness", "normal_consistency", "sampling_floor", "alignment")
    return {name: getattr(scores, name) for name in names} | {"at": [vars(at) for at in scores.at]}


def _dense(index: np.ndarray, values: np.ndarray, fill: float, grid: VoxelGrid) -> np.ndarray:
    volume = np.full(grid.num_points, fill, dtype=np.float32)
    volume[index] = values
    return volume.reshape(grid.shape)
