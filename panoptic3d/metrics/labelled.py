"""What a protocol needs of a prediction or of the ground truth: the voxels that carry a label, and nothing dense.

A voxel without class and instance belongs to no segment of any protocol, so 16.8 million voxels become about 50,000.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, Int64, Shaped, UInt8
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.structures.sample import VoxelTruth
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

NUM_CLASSES = len(FRONT3D_TAXONOMY)
_MAX_INSTANCE_ID = 2**31 - 1


@dataclass(frozen=True, eq=False)
class LabelledVoxels:
    """Voxels with a class or an instance id, camera aligned, in C order of (i, j, k). Labels are checked on entry."""

    shape: tuple[int, int, int]
    linear_index: Int32[np.ndarray, " n"]
    distance_vox: Float32[np.ndarray, " n"]  # unsigned
    semantic: UInt8[np.ndarray, " n"]
    instance: Int32[np.ndarray, " n"]

    @classmethod
    def checked(
        cls, shape: tuple[int, int, int], index: Any, distance: Any, semantic: Any, instance: Any
    ) -> "LabelledVoxels":
        """From arrays of any integer and float kinds, of labelled voxels only; refuses what no protocol has an answer for."""
        distance = np.abs(np.asarray(distance).astype(np.float32))
        semantic, instance = np.asarray(semantic), np.asarray(instance)
        if not np.isfinite(distance).all():
            raise InputError(f"the distance of {int((~np.isfinite(distance)).sum())} labelled voxels is not finite.")
        _refuse_outside(semantic, NUM_CLASSES - 1, "class")
        _refuse_outside(instance, _MAX_INSTANCE_ID, "instance id")
        labels = semantic.astype(np.uint8), instance.astype(np.int32)
        return cls(shape, np.asarray(index).astype(np.int32), distance, *labels)

    @classmethod
    def from_volumes(
        cls,
        distance_vox: Shaped[np.ndarray, "x y z"],
        semantic: Shaped[np.ndarray, "x y z"],
        instance: Shaped[np.ndarray, "x y z"],
    ) -> "LabelledVoxels":
        """From camera-aligned volumes of any strides; the distance is read where there are labels only."""
        shape = (semantic.shape[0], semantic.shape[1], semantic.shape[2])
        memory = [_memory_order(volume) for volume in (distance_vox, semantic, instance)]
        index = labelled_index(memory[1], memory[2])
        columns = (values[index] for values in memory)
        is_reversed = tuple(stride < 0 for stride in semantic.strides)
        if {tuple(stride < 0 for stride in v.strides) for v in (distance_vox, instance)} != {is_reversed}:
            return cls.from_volumes(*(v.copy(order="C") for v in (distance_vox, semantic, instance)))
        return cls.checked(shape, index, *columns)._turned(is_reversed)

    @classmethod
    def from_stored(
        cls, distance_vox: Shaped[np.ndarray, "x y z"], segmentation: Shaped[np.ndarray, "2 x y z"]
    ) -> "LabelledVoxels":
        """From the arrays of a released `geometry` and `segmentation` file, which store x and y reversed."""
        return cls.from_volumes(distance_vox[::-1, ::-1], segmentation[0, ::-1, ::-1], segmentation[1, ::-1, ::-1])

    @classmethod
    def from_scene(cls, scene: PanopticScene) -> "LabelledVoxels":
        """From a predicted scene on any device; only its labelled voxels travel."""
        if scene.semantic.device.type == "cpu":
            return cls.from_volumes(scene.distance_vox.numpy(), scene.semantic.numpy(), scene.instance.numpy())
        index = torch.nonzero(((scene.semantic != 0) | (scene.instance != 0)).flatten()).squeeze(1)
        volumes = (scene.distance_vox, scene.semantic, scene.instance)
        return cls.checked(scene.grid.shape, *(_numpy(t) for t in (index, *(v.flatten()[index] for v in volumes))))

    @classmethod
    def from_truth(cls, truth: VoxelTruth) -> "LabelledVoxels":
        is_labelled = (truth.semantic != 0) | (truth.instance != 0)
        columns = (truth.linear_index, truth.distance_vox, truth.semantic, truth.instance)
        return cls.checked(truth.grid.shape, *(_numpy(column[is_labelled]) for column in columns))

    @classmethod
    def nothing(cls, shape: tuple[int, int, int]) -> "LabelledVoxels":
        """What a method that failed has predicted."""
        none = np.zeros(0, np.int32)
        return cls(shape, none, none.astype(np.float32), none.astype(np.uint8), none)

    def __len__(self) -> int:
        return len(self.linear_index)

    def _turned(self, is_reversed: tuple[bool, ...]) -> "LabelledVoxels":
        """The same voxels of the grid with these axes reversed, in its order."""
        if not any(is_reversed):
            return self
        coords = np.unravel_index(self.linear_index, self.shape)
        axes = zip(coords, self.shape, is_reversed, strict=True)
        i, j, k = (size - 1 - c if turned else c for c, size, turned in axes)
        index = ((i * self.shape[1] + j) * self.shape[2] + k).astype(np.int32)
        order = np.argsort(index)
        columns = (index, self.distance_vox, self.semantic, self.instance)
        return LabelledVoxels(self.shape, *(column[order] for column in columns))

    def where(self, keep: Bool[np.ndarray, " n"]) -> "LabelledVoxels":
        columns = (self.linear_index, self.distance_vox, self.semantic, self.instance)
        return LabelledVoxels(self.shape, *(column[keep] for column in columns))


@dataclass(frozen=True, eq=False)
class PixelLabels:
    """The 2D label map of the image: which classes and instances it shows. Rows go down, as in the image."""

    semantic: UInt8[np.ndarray, "h w"]
    instance: Int32[np.ndarray, "h w"]

    @classmethod
    def from_segmap(cls, segmap: Shaped[np.ndarray, "h w 2"]) -> "PixelLabels":
        """From the array of a released `segmap` file."""
        _refuse_outside(segmap[..., 0], 255, "class of the 2D label map")
        _refuse_outside(segmap[..., 1], _MAX_INSTANCE_ID, "instance id of the 2D label map")
        return cls(segmap[..., 0].astype(np.uint8), segmap[..., 1].astype(np.int32))


_GROUP = 8  # voxels that are looked at together


def labelled_index(semantic: Shaped[np.ndarray, " n"], instance: Shaped[np.ndarray, " n"]) -> Int64[np.ndarray, " m"]:
    """Ascending indices where either is not 0. Volumes are nearly empty: eight bytes at a time are compared with 0."""
    groups = np.union1d(_groups_in_use(semantic), _groups_in_use(instance))
    candidates = (groups[:, None] * _GROUP + np.arange(_GROUP)).ravel()
    candidates = candidates[: np.searchsorted(candidates, len(semantic))]
    return candidates[(semantic[candidates] != 0) | (instance[candidates] != 0)]


def _groups_in_use(values: Shaped[np.ndarray, " n"]) -> Int64[np.ndarray, " m"]:
    """Groups of eight neighbours with a value other than 0, ascending."""
    if len(values) % _GROUP or _GROUP % values.itemsize:
        return np.unique(np.flatnonzero(values) // _GROUP)
    groups = np.flatnonzero(values.view(np.uint64) != 0) // values.itemsize  # so many words make a group
    return groups[np.diff(groups, prepend=-1) > 0]


def _memory_order(volume: Shaped[np.ndarray, "x y z"]) -> Shaped[np.ndarray, " n"]:
    """The values as they lie in memory if axes are merely reversed, else a copy in C order."""
    upright = volume[tuple(slice(None, None, -1 if stride < 0 else 1) for stride in volume.strides)]
    return upright.reshape(-1)


def _refuse_outside(labels: np.ndarray, largest: int, what: str) -> None:
    if labels.size and (labels.min() < 0 or labels.max() > largest):
        wrong = labels[(labels < 0) | (labels > largest)]
        message = f"{what} {int(wrong[0])} occurs ({wrong.size} times) where 0 to {largest} is possible."
        raise InputError(message)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
