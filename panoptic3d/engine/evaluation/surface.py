"""Voxel scores, and what is seen apart from what is hidden, beside PRQ in one pass over the images."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from panoptic3d.engine.evaluation.truth import TrueFrame
from panoptic3d.metrics.hidden_surface import HIDDEN, SEEN, TRUE, View, score_of, surface_counts
from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.voxel_iou import VoxelConfusion
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy


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
