"""Labelled voxels -> the ordered segments of a protocol, by its declared rules."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int64

from panoptic3d.metrics.labelled import NUM_CLASSES, LabelledVoxels, PixelLabels
from panoptic3d.metrics.protocol import (
    AllInstances,
    FirstPixel,
    InstanceRule,
    PixelMajority,
    SegmentRule,
    VisibleInstances,
)


@dataclass(frozen=True, eq=False)
class VoxelSegment:
    """A thing, or all of one stuff class, by the voxels of its shell."""

    class_id: int
    instance_id: int  # 0 for stuff
    is_ignored: bool  # no target, and no error to find it
    shell_index: Int64[np.ndarray, " n"]  # linear, ascending


_SMALL_ID = 2**20


@dataclass(frozen=True)
class _Thing:
    instance_id: int
    class_id: int
    is_ignored: bool


def segments_of(
    voxels: LabelledVoxels, rule: SegmentRule, iso_vox: float, pixels: PixelLabels | None
) -> list[VoxelSegment]:
    """Segments in the order in which the protocol visits them."""
    selected = select_instances(rule.instances, pixels)
    things = _things(voxels, rule, selected)
    stuff = _stuff_entered(voxels, rule, pixels)
    owner = _owners(voxels, rule, things, stuff)
    num_things = len(things)
    num_owned = np.bincount(owner + 1, minlength=num_things + NUM_CLASSES + 1)[1:]
    shells = _split_by_owner(voxels, owner, iso_vox, num_things + NUM_CLASSES)
    segments = [
        VoxelSegment(thing.class_id, thing.instance_id, thing.is_ignored, shells[slot])
        for slot, thing in enumerate(things)
        if num_owned[slot]
    ]
    keeps_empty = rule.stuff_entries == "always"
    segments += [
        VoxelSegment(class_id, 0, is_ignored, shells[num_things + class_id])
        for class_id, is_ignored in stuff.items()
        if class_id and (keeps_empty or num_owned[num_things + class_id])
    ]
    if rule.order == "by_class":
        segments.sort(key=lambda segment: (segment.class_id, segment.instance_id))
    return segments


def select_instances(rule: InstanceRule, pixels: PixelLabels | None) -> frozenset[int] | None:
    """The instance ids that a rule admits; None for all."""
    match rule:
        case AllInstances():
            return None
        case _ if pixels is None:
            raise ValueError(f"instances selected by {rule.by} need the 2D label map")
        case PixelMajority():
            accepted = (i for i, (n, majority, _) in _pixel_census(pixels).items() if _passes(rule, n, majority))
            return frozenset(list(accepted)[: rule.at_most])
        case FirstPixel():
            return frozenset(i for i, (_, _, first) in _pixel_census(pixels).items() if first in rule.classes)
        case VisibleInstances():
            return frozenset(i for i, (n, _, _) in _pixel_census(pixels).items() if n >= rule.at_least_pixels)


def _passes(rule: PixelMajority, num_pixels: int, majority: int) -> bool:
    return num_pixels > rule.more_than_pixels and majority not in rule.refused_classes


def _pixel_census(pixels: PixelLabels) -> dict[int, tuple[int, int, int]]:
    """For each instance id above 0: number of pixels, majority class, and class of the first pixel."""
    ids, first, slot = np.unique(pixels.instance, return_index=True, return_inverse=True)
    semantic = pixels.semantic.ravel().astype(np.int64)
    votes = np.bincount(slot.ravel() * 256 + semantic, minlength=len(ids) * 256).reshape(-1, 256)
    rows = zip(ids.tolist(), votes.sum(1).tolist(), votes.argmax(1).tolist(), semantic[first].tolist(), strict=True)
    return {instance: (n, majority, first_class) for instance, n, majority, first_class in rows if instance != 0}


def _things(voxels: LabelledVoxels, rule: SegmentRule, selected: frozenset[int] | None) -> list[_Thing]:
    """Instances that get an entry, by ascending id."""
    ids, slot = _distinct(voxels.instance)
    classes = _first_classes(voxels, ids, slot) if rule.thing_class_by == "first_voxel" else None
    if classes is None:
        classes = _majority_classes(voxels, len(ids), slot, rule.majority_without)
    hides_the_rest = isinstance(rule.instances, VisibleInstances)
    things = []
    for instance, class_id in zip(ids.tolist(), classes.tolist(), strict=True):
        is_wanted = selected is None or instance in selected
        is_thing = class_id >= 0 and (rule.thing_classes is None or class_id in rule.thing_classes)
        if instance != 0 and is_thing and (is_wanted or hides_the_rest):
            things.append(_Thing(instance, class_id, is_ignored=not is_wanted))
    return things


def _majority_classes(voxels: LabelledVoxels, num_ids: int, slot: np.ndarray, without: tuple[int, ...]) -> np.ndarray:
    """The most frequent class, the smallest of equals; -1 where nothing but classes without a vote occurs."""
    votes = np.bincount(slot * NUM_CLASSES + voxels.semantic, minlength=num_ids * NUM_CLASSES)
    votes = votes.reshape(-1, NUM_CLASSES)
    votes[:, list(without)] = 0
    return np.where(votes.any(axis=1), votes.argmax(axis=1), -1)


def _first_classes(voxels: LabelledVoxels, ids: np.ndarray, slot: np.ndarray) -> np.ndarray:
    """The class of the voxel that comes first in the order of the released arrays, in which x and y are reversed."""
    nx, ny, nz = voxels.shape
    row, k = np.divmod(voxels.linear_index.astype(np.int64), nz)
    i, j = np.divmod(row, ny)
    stored = ((nx - 1 - i) * ny + (ny - 1 - j)) * nz + k
    order = np.argsort(stored)[::-1]
    first = np.zeros(len(ids), dtype=np.int64)
    first[slot[order]] = order  # the last of several writes wins, which is the smallest stored index
    return voxels.semantic[first].astype(np.int64)


def _distinct(instance: Int[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
    """`np.unique(..., return_inverse=True)`, without sorting where ids are small, as they are."""
    if instance.max(initial=0) >= _SMALL_ID:
        return np.unique(instance, return_inverse=True)
    ids = np.flatnonzero(np.bincount(instance))
    slot = np.zeros(int(ids[-1]) + 1 if len(ids) else 1, dtype=np.int64)
    slot[ids] = np.arange(len(ids))
    return ids, slot[instance]


def _stuff_entered(voxels: LabelledVoxels, rule: SegmentRule, pixels: PixelLabels | None) -> dict[int, bool]:
    """Stuff class -> whether it is ignored, ascending."""
    if rule.stuff_entries != "visible":
        return dict.fromkeys(sorted(rule.stuff_classes), False)
    assert pixels is not None, "a protocol refuses visible stuff on the side of the prediction"
    if isinstance(rule.instances, VisibleInstances):
        shown = set(np.unique(pixels.semantic).tolist())
        return {class_id: class_id not in shown for class_id in sorted(rule.stuff_classes)}
    shown = {first for _, _, first in _pixel_census(pixels).values()} | _classes_without_instance(pixels)
    return {class_id: False for class_id in sorted(rule.stuff_classes) if class_id in shown}


def _classes_without_instance(pixels: PixelLabels) -> set[int]:
    """The class of the first pixel whose instance id is 0, if there is one."""
    semantic = pixels.semantic[pixels.instance == 0]
    return {int(semantic[0])} if semantic.size else set()


def _owners(
    voxels: LabelledVoxels, rule: SegmentRule, things: list[_Thing], stuff: dict[int, bool]
) -> Int64[np.ndarray, " n"]:
    """The segment of every voxel: slot of its thing, or number of things plus stuff class, or -1."""
    ids, slot = _distinct(voxels.instance)
    slot_of_thing = np.full(len(ids), -1, dtype=np.int64)
    slot_of_thing[np.searchsorted(ids, [thing.instance_id for thing in things])] = np.arange(len(things))
    slot_of_class = np.full(NUM_CLASSES, -1, dtype=np.int64)
    slot_of_class[list(stuff)] = len(things) + np.array(list(stuff), dtype=np.int64)
    by_thing, by_class = slot_of_thing[slot], slot_of_class[voxels.semantic]
    first, second = (by_class, by_thing) if rule.overlap == "stuff_wins" else (by_thing, by_class)
    return np.where(first >= 0, first, second)


def _split_by_owner(voxels: LabelledVoxels, owner: np.ndarray, iso_vox: float, num_owners: int) -> list[np.ndarray]:
    """Linear indices of each owner's shell, ascending as they came."""
    is_shell = (voxels.distance_vox < np.float32(iso_vox)) & (owner >= 0)
    keys = owner[is_shell].astype(np.uint16 if num_owners < 2**16 else np.int64)  # 16 bits are sorted by radix
    order = np.argsort(keys, kind="stable")
    sizes = np.bincount(keys, minlength=num_owners)
    return np.split(voxels.linear_index[is_shell].astype(np.int64)[order], np.cumsum(sizes)[:-1])
