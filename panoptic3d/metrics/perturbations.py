"""Scores under changes: with ground truth in place of one part of a prediction, or with a prediction that is moved a little.

The first says what to improve; the second says how much of a difference between two scores is worth talking about.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Int64
from scipy.spatial import KDTree

from panoptic3d.metrics.labelled import NUM_CLASSES, LabelledVoxels
from panoptic3d.metrics.protocol import Protocol
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

OracleName = Literal["geometry", "semantics", "masks", "layout"]
_IS_STUFF = np.array([kind.kind == "stuff" for kind in FRONT3D_TAXONOMY.classes])


def with_oracle(prediction: LabelledVoxels, truth: LabelledVoxels, name: OracleName) -> LabelledVoxels:
    """The prediction with one part taken from the ground truth.

    geometry: true surfaces, each voxel labelled as the nearest predicted one. masks: predicted surfaces, each voxel with
    class and instance of the nearest true one. semantics: predicted surfaces and instances, an instance has the class
    that most of its nearest true voxels have. layout: true walls, floor and ceiling around the predicted things.
    """
    if not len(prediction) or not len(truth):
        return prediction
    match name:
        case "geometry":
            nearest = _nearest(truth, prediction)
            return replace(truth, semantic=prediction.semantic[nearest], instance=prediction.instance[nearest])
        case "masks":
            nearest = _nearest(prediction, truth)
            return replace(prediction, semantic=truth.semantic[nearest], instance=truth.instance[nearest])
        case "semantics":
            return replace(prediction, semantic=_true_classes(prediction, truth))
        case "layout":
            is_layout = _IS_STUFF[prediction.semantic] & (prediction.instance == 0)
            is_true_layout = _IS_STUFF[truth.semantic] & (truth.instance == 0)
            return _union(prediction.where(np.logical_not(is_layout)), truth.where(is_true_layout))


def _true_classes(prediction: LabelledVoxels, truth: LabelledVoxels) -> np.ndarray:
    """True classes: for an instance the majority over its nearest true voxels, for a stuff voxel that of its nearest one."""
    nearest = truth.semantic[_nearest(prediction, truth)].astype(np.int64)
    ids, slot = np.unique(prediction.instance, return_inverse=True)
    votes = np.bincount(slot * NUM_CLASSES + nearest, minlength=len(ids) * NUM_CLASSES).reshape(-1, NUM_CLASSES)
    of_instance = votes.argmax(axis=1)[slot]
    return np.where(prediction.instance > 0, of_instance, nearest).astype(np.uint8)


def _nearest(from_voxels: LabelledVoxels, to_voxels: LabelledVoxels) -> Int64[np.ndarray, " n"]:
    """Places in `to_voxels`; the nearest in the grid, whatever its label."""
    here, there = (np.stack(np.unravel_index(v.linear_index, v.shape), axis=1) for v in (from_voxels, to_voxels))
    return np.asarray(KDTree(there).query(here)[1], dtype=np.int64)


def _union(first: LabelledVoxels, second: LabelledVoxels) -> LabelledVoxels:
    """Both sets; where both have a voxel the first one's label stays."""
    second = second.where(np.isin(second.linear_index, first.linear_index, invert=True))
    pairs = (
        (first.linear_index, second.linear_index),
        (first.distance_vox, second.distance_vox),
        (first.semantic, second.semantic),
        (first.instance, second.instance),
    )
    columns = [np.concatenate(pair) for pair in pairs]
    order = np.argsort(columns[0])
    return LabelledVoxels(first.shape, *(column[order] for column in columns))


def moved(voxels: LabelledVoxels, shift: tuple[int, int, int]) -> LabelledVoxels:
    """By whole voxels; what leaves the grid is gone."""
    coords = np.stack(np.unravel_index(voxels.linear_index, voxels.shape), axis=1) + shift
    is_inside = np.logical_and.reduce((coords >= 0) & (coords < voxels.shape), axis=1)
    index = np.ravel_multi_index(tuple(coords[is_inside].T), voxels.shape).astype(np.int32)
    return replace(voxels.where(is_inside), linear_index=index)


def thickened(voxels: LabelledVoxels, step_vox: float) -> LabelledVoxels:
    """The prediction with all surfaces thicker by `step_vox`, as a higher iso level would make them."""
    return replace(voxels, distance_vox=(voxels.distance_vox - np.float32(step_vox)).clip(min=0))


def with_reversed_ids(voxels: LabelledVoxels) -> LabelledVoxels:
    """The same instances named in the opposite order."""
    largest = int(voxels.instance.max(initial=0))
    return replace(voxels, instance=np.where(voxels.instance > 0, largest + 1 - voxels.instance, 0).astype(np.int32))


@dataclass(frozen=True)
class Change:
    """One small thing done to a prediction or to the protocol."""

    name: str
    of_prediction: Callable[[LabelledVoxels], LabelledVoxels] = lambda voxels: voxels
    of_protocol: Callable[[Protocol], Protocol] = lambda protocol: protocol


ISO_STEP_VOX = 0.25


def _shift(axis: int, step: int) -> Change:
    vector = (step * (axis == 0), step * (axis == 1), step * (axis == 2))
    return Change(f"prediction {step:+d} voxel in {'xyz'[axis]}", lambda voxels: moved(voxels, vector))


def _iso(step_vox: float) -> Change:
    return Change(f"prediction's iso {step_vox:+.2f} voxel", lambda voxels: thickened(voxels, step_vox))


def _other_matching(protocol: Protocol) -> Protocol:
    rule = "optimal" if protocol.matching.rule == "first_hit" else "first_hit"
    return protocol.model_copy(update={"matching": protocol.matching.model_copy(update={"rule": rule})})


def _other_mask(protocol: Protocol) -> Protocol:
    mask = protocol.evaluation_mask
    turned = "as_shipped" if mask.orientation == "camera_aligned" else "camera_aligned"
    return protocol.model_copy(update={"evaluation_mask": mask.model_copy(update={"orientation": turned})})


CHANGES: tuple[Change, ...] = (
    *(_shift(axis, step) for axis in range(3) for step in (1, -1)),
    _iso(ISO_STEP_VOX),
    _iso(-ISO_STEP_VOX),
    Change("predicted ids in the opposite order", with_reversed_ids),
    Change("the other rule of matching", of_protocol=_other_matching),
    Change("the frustum mask turned the other way", of_protocol=_other_mask),
)
