"""Volumes of the releases, read slab by slab into the sparse form of `VoxelTruth`.

A release that stores x and y reversed (3D-Front) is turned here, once; nothing downstream knows of it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from panoptic3d.data.arrays import Expected, PathLike, read_slabs
from panoptic3d.data.reasons import bad_file
from panoptic3d.structures.sample import FAR_VOX

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Sparse:
    """Values at distinct linear indices in ascending (C) order, camera aligned."""

    index: np.ndarray  # int32 [n]
    values: np.ndarray  # [n]


@dataclass(frozen=True)
class Orientation:
    """How the stored axes run."""

    is_reversed: bool  # x and y run backwards: 3D-Front

    def slabs(self, slabs: Iterator[np.ndarray], num: int) -> Iterator[tuple[int, np.ndarray]]:
        """(camera-aligned i, camera-aligned [y, z] view) in stored order."""
        for stored in range(num):
            slab = next(slabs)
            yield (num - 1 - stored, slab[::-1]) if self.is_reversed else (stored, slab)

    def aligned(self, volume: np.ndarray) -> np.ndarray:
        """A whole [x, y, z] volume; the same function turns it back."""
        return volume[::-1, ::-1] if self.is_reversed else volume


REVERSED, ALIGNED = Orientation(is_reversed=True), Orientation(is_reversed=False)


def read_distance(
    path: PathLike, shape: Shape, dtype: str, orientation: Orientation, fill_vox: float, is_signed: bool
) -> Sparse:
    """float32 distances that are not the fill, clipped to +-FAR_VOX as every reader of the releases does."""
    slabs = read_slabs(path, "data", Expected(shape, (dtype,)))
    sparse = _sparse(orientation.slabs(slabs, shape[0]), shape, fill_vox, orientation)
    _check_distance(path, sparse.values, is_signed)
    values = sparse.values.astype(np.float32)
    if not (np.abs(values) >= FAR_VOX).any():
        return Sparse(sparse.index, values)
    values = np.clip(values, -FAR_VOX, FAR_VOX)
    is_listed = values != fill_vox
    return Sparse(sparse.index[is_listed], values[is_listed])


def read_labels(path: PathLike, shape: Shape, num_classes: int, orientation: Orientation) -> tuple[Sparse, Sparse]:
    """(semantic uint8, instance int32) where they are not 0."""
    slabs = read_slabs(path, "data", Expected((2, *shape), ("int32",)))
    semantic = _sparse(orientation.slabs(slabs, shape[0]), shape, 0, orientation)
    instance = _sparse(orientation.slabs(slabs, shape[0]), shape, 0, orientation)
    next(slabs, None)
    check_classes(path, semantic.values, num_classes)
    check_instances(path, instance.values)
    return Sparse(semantic.index, semantic.values.astype(np.uint8)), instance


def read_weight(path: PathLike, shape: Shape, orientation: Orientation) -> tuple[np.ndarray, Shape]:
    """The smallest box outside of which all weights are 1, as uint8, and its first index."""
    weight = np.empty(shape, np.uint8)
    is_used_i, is_used_jk = np.zeros(shape[0], np.bool_), np.zeros(shape[1:], np.bool_)
    lowest = highest = 1
    slabs = read_slabs(path, "data", Expected(shape, ("int16",)))
    for i, slab in orientation.slabs(slabs, shape[0]):
        lowest, highest = min(lowest, int(slab.min())), max(highest, int(slab.max()))
        weight[i] = slab
        is_used = weight[i] != 1
        is_used_i[i] = is_used.any()
        is_used_jk |= is_used
    next(slabs, None)  # runs the check at the end of the file: a broken file is called broken before its values are
    if lowest < 0 or highest > 255:
        found = f"{lowest}..{highest}"
        raise bad_file(path, "bad_weight", expected="loss weights in 0..255", found=found, key="data")
    return crop_to_used(weight, is_used_i, is_used_jk)


def crop_to_used(volume: np.ndarray, is_used_i: np.ndarray, is_used_jk: np.ndarray) -> tuple[np.ndarray, Shape]:
    """The smallest box of what is used, and where it starts; an empty box starts at (0, 0, 0)."""
    if not is_used_i.any():
        return np.empty((0, 0, 0), volume.dtype), (0, 0, 0)
    ranges = [np.flatnonzero(used)[[0, -1]] for used in (is_used_i, is_used_jk.any(1), is_used_jk.any(0))]
    (i0, i1), (j0, j1), (k0, k1) = ranges
    box = np.ascontiguousarray(volume[i0 : i1 + 1, j0 : j1 + 1, k0 : k1 + 1])
    return box, (int(i0), int(j0), int(k0))


def check_classes(path: PathLike, classes: np.ndarray, num_classes: int) -> None:
    is_bad = (classes < 0) | (classes >= num_classes)
    if is_bad.any():
        found = f"class {classes[is_bad].flat[0]} at {is_bad.sum()} places"
        raise bad_file(path, "bad_class", expected=f"classes 0..{num_classes - 1}", found=found, key="data")


def check_instances(path: PathLike, instances: np.ndarray) -> None:
    if instances.size == 0:
        return
    lowest, highest = int(instances.min()), int(instances.max())
    if lowest < 0:
        raise bad_file(path, "negative_instance", expected="ids of at least 0", found=f"id {lowest}", key="data")
    if highest > np.iinfo(np.int32).max:
        raise bad_file(path, "huge_instance", expected="ids below 2^31", found=f"id {highest}", key="data")


def _check_distance(path: PathLike, values: np.ndarray, is_signed: bool) -> None:
    for reason, is_bad in (("nan_distance", np.isnan(values)), ("infinite_distance", np.isinf(values))):
        if is_bad.any():
            found = f"{values[is_bad][0]} at {is_bad.sum()} voxels"
            raise bad_file(path, reason, expected="finite distances in voxels", found=found, key="data")
    if not is_signed and values.size and values.min() < 0:
        found = f"{values.min()} at one of {(values < 0).sum()} voxels"
        raise bad_file(path, "negative_distance", expected="distances of at least 0", found=found, key="data")


def _sparse(
    slabs: Iterator[tuple[int, np.ndarray]], shape: Shape, fill: float | int, orientation: Orientation
) -> Sparse:
    """The values that differ from `fill`, in camera-aligned order."""
    indices, values = [], []
    for i, slab in slabs:
        within = np.flatnonzero(slab != fill)
        if within.size:
            indices.append((within + i * math.prod(shape[1:])).astype(np.int32))
            values.append(slab[np.divmod(within, shape[2])])
    if not indices:
        return Sparse(np.empty(0, np.int32), np.empty(0, np.float32 if isinstance(fill, float) else np.int32))
    step = -1 if orientation.is_reversed else 1
    return Sparse(np.concatenate(indices[::step]), np.concatenate(values[::step]))
