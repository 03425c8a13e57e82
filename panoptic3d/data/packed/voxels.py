"""The 3D part of a packed sample: everything to the bit but the distances, which keep their side of every threshold."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from panoptic3d.data.packed.container import Block, Packed, array_block
from panoptic3d.data.packed.distances import decode_distances, encode_distances
from panoptic3d.data.packed.pixels import decode_pairs, encode_pairs
from panoptic3d.data.packed.residuals import byte_planes, differences, fold, from_byte_planes, sums, unfold
from panoptic3d.data.truth import build_truth
from panoptic3d.data.volumes import Shape
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, LABEL_BAND_VOX, VoxelTruth

Facts = dict[str, Any]
_NEAR_WEIGHTS = (5, 25)  # what 3D-Front and Matterport3D give voxels near a surface; twice that where they are hidden


def encode_truth(truth: VoxelTruth) -> tuple[Facts, dict[str, Block]]:
    index, distance_vox = truth.linear_index.numpy(), truth.distance_vox.numpy()
    box = _Box.around(index, truth.grid.shape)
    label_facts, label_blocks = _encode_labels(truth)
    weight_facts, weight_blocks = _encode_weight(truth)
    facts = {
        "box_start": box.start,
        "box_shape": box.shape,
        "is_signed": is_signed(truth),
        "fill_distance_vox": truth.fill_distance_vox,
        "num_listed": len(index),
        "coarse": {str(stride): list(cells.shape) for stride, cells in truth.coarse_occupancy.items()},
        **label_facts,
        **weight_facts,
    }
    blocks = {
        "listed": array_block(np.packbits(box.dense(index, np.True_, truth.grid.shape), axis=2)),
        "distance": _encode_field(box.dense(index, encode_distances(distance_vox, is_signed(truth)), truth.grid.shape)),
        **label_blocks,
        **weight_blocks,
        **{
            f"coarse_{stride}": array_block(np.packbits(cells.numpy()))
            for stride, cells in truth.coarse_occupancy.items()
        },
    }
    return facts, blocks


def is_signed(truth: VoxelTruth) -> bool:
    """Whether the field needs signs: by its fill, so that all samples of a release agree, or by what it holds."""
    return truth.fill_distance_vox < 0 or bool((truth.distance_vox < 0).any())


def encode_mask(mask: Tensor) -> Block:
    return array_block(np.packbits(mask.numpy()))


def decode_mask(packed: Packed, shape: Shape) -> Tensor:
    return torch.from_numpy(_unpack_bits(packed.array("frustum_mask", "uint8", (-1,)), shape))


def decode_truth(packed: Packed, facts: Mapping[str, Any], grid: VoxelGrid, frustum_mask: Tensor) -> VoxelTruth:
    box = _Box(_triple(facts["box_start"]), _triple(facts["box_shape"]))
    listed = packed.array("listed", "uint8", (*box.shape[:2], -1) if facts["num_listed"] else (0, 0, 0))
    within = np.flatnonzero(np.unpackbits(listed, axis=2, count=box.shape[2])).astype(np.int32)
    if facts["num_listed"] is True or len(within) != facts["num_listed"]:
        raise ValueError(f"{len(within)} voxels where {facts['num_listed']!r} are announced")
    if not isinstance(facts["is_signed"], bool):
        raise ValueError(f"distances with or without a sign: {facts['is_signed']!r}")
    index = box.linear(within, grid.shape)
    distance_vox = decode_distances(_decode_field(packed, box.shape, facts["is_signed"])[within])
    semantic, instance = _decode_labels(packed, facts, distance_vox)
    return build_truth(
        grid=grid,
        index=index,
        distance_vox=distance_vox,
        semantic=semantic,
        instance=instance,
        weight=_decode_weight(packed, facts, index, distance_vox, grid.shape),
        frustum_mask=frustum_mask,
        coarse={
            int(stride): _unpack_bits(packed.array(f"coarse_{stride}", "uint8", (-1,)), _triple(shape))
            for stride, shape in facts["coarse"].items()
        },
        fill_distance_vox=facts["fill_distance_vox"],
    )


class _Box:
    """An axis-aligned part of a grid."""

    def __init__(self, start: Shape, shape: Shape) -> None:
        self.start, self.shape = start, shape

    @classmethod
    def around(cls, index: np.ndarray, grid_shape: Shape) -> "_Box":
        if len(index) == 0:
            return cls((0, 0, 0), (0, 0, 0))
        coords = np.unravel_index(index, grid_shape)
        start = _triple([int(axis.min()) for axis in coords])
        return cls(start, _triple([int(axis.max()) + 1 - low for axis, low in zip(coords, start, strict=True)]))

    def dense(self, index: np.ndarray, values: np.ndarray | np.generic, grid_shape: Shape) -> np.ndarray:
        volume = np.zeros(self.shape, values.dtype)
        volume[self.local(index, grid_shape)] = values
        return volume

    def local(self, index: np.ndarray, grid_shape: Shape) -> tuple[np.ndarray, ...]:
        coords = np.unravel_index(index, grid_shape)
        return tuple(axis - low for axis, low in zip(coords, self.start, strict=True))

    def linear(self, within: np.ndarray, grid_shape: Shape) -> np.ndarray:
        """int32 index in the grid of an ascending index in the box."""
        rows = within // np.int32(max(self.shape[2], 1))
        i, j = np.meshgrid(
            *(np.arange(low, low + n) for low, n in zip(self.start[:2], self.shape[:2], strict=True)), indexing="ij"
        )
        row_start = (i * grid_shape[1] + j) * grid_shape[2] + self.start[2]
        offset = row_start.reshape(-1) - np.arange(row_start.size) * self.shape[2]
        return within + offset.astype(np.int32)[rows]


def _encode_field(codes: np.ndarray) -> Block:
    residuals = differences(codes)
    return Block(byte_planes(fold(residuals) if codes.dtype == np.int16 else residuals).tobytes())


def _decode_field(packed: Packed, shape: Shape, has_signs: bool) -> np.ndarray:
    planes = packed.array("distance", "uint8", (-1,))
    residuals = from_byte_planes(planes, "uint16" if has_signs else "uint8", shape)
    return sums(unfold(residuals) if has_signs else residuals).reshape(-1)


def _encode_labels(truth: VoxelTruth) -> tuple[Facts, dict[str, Block]]:
    semantic, instance = truth.semantic.numpy(), truth.instance.numpy()
    is_labelled = (semantic != 0) | (instance != 0)
    blocks = encode_pairs("labels_3d", semantic[is_labelled], instance[is_labelled])
    if np.array_equal(is_labelled, _is_in_label_band(truth.distance_vox.numpy())):
        return {"labelled": "band", "num_labelled": int(is_labelled.sum())}, blocks
    blocks["labelled"] = array_block(np.packbits(is_labelled))
    return {"labelled": "listed", "num_labelled": int(is_labelled.sum())}, blocks


def _decode_labels(packed: Packed, facts: Mapping[str, Any], distance_vox: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if facts["labelled"] == "band":
        is_labelled = _is_in_label_band(distance_vox)
    else:
        is_labelled = _unpack_bits(packed.array("labelled", "uint8", (-1,)), (len(distance_vox),))
    if is_labelled.sum() != facts["num_labelled"]:
        raise ValueError(f"{is_labelled.sum()} voxels with labels where {facts['num_labelled']!r} are announced")
    semantic, instance = np.zeros(len(distance_vox), np.uint8), np.zeros(len(distance_vox), np.int32)
    semantic[is_labelled], instance[is_labelled] = decode_pairs(packed, "labels_3d", (facts["num_labelled"],))
    return semantic, instance


def _is_in_label_band(distance_vox: np.ndarray) -> np.ndarray:
    return np.abs(distance_vox) < LABEL_BAND_VOX


def _encode_weight(truth: VoxelTruth) -> tuple[Facts, dict[str, Block]]:
    """By the rule of the releases (near times hidden) where it holds at every voxel, else as it is."""
    weight = truth.weight.numpy()
    facts: Facts = {"weight_start": truth.weight_start, "weight_shape": list(weight.shape), "near_weight": 0}
    for near_weight in _NEAR_WEIGHTS:
        hidden = weight % 2 == 0
        expected = _weight_by_rule(
            hidden.astype(np.uint8), truth.weight_start, near_weight, *_near(truth), truth.grid.shape
        )
        if expected is not None and np.array_equal(expected, weight):
            return {**facts, "near_weight": near_weight}, {"hidden": array_block(np.packbits(hidden, axis=2))}
    return facts, {"weight": array_block(weight)}


def _near(truth: VoxelTruth) -> tuple[np.ndarray, np.ndarray]:
    return truth.linear_index.numpy(), truth.distance_vox.numpy()


def _decode_weight(
    packed: Packed, facts: Mapping[str, Any], index: np.ndarray, distance_vox: np.ndarray, grid_shape: Shape
) -> tuple[np.ndarray, Shape]:
    start, shape = _triple(facts["weight_start"]), _triple(facts["weight_shape"])
    if type(facts["near_weight"]) is not int or facts["near_weight"] not in (0, *_NEAR_WEIGHTS):
        raise ValueError(f"a weight of {facts['near_weight']!r} near surfaces")
    if not facts["near_weight"]:
        return packed.array("weight", "uint8", shape).copy(), start
    bits = packed.array("hidden", "uint8", (*shape[:2], -1) if shape[0] else (0, 0, 0))
    hidden = np.unpackbits(bits, axis=2, count=shape[2])
    weight = _weight_by_rule(hidden, start, facts["near_weight"], index, distance_vox, grid_shape)
    assert weight is not None
    return weight, start


def _weight_by_rule(
    hidden: np.ndarray,
    start: Shape,
    near_weight: int,
    index: np.ndarray,
    distance_vox: np.ndarray,
    grid_shape: Shape,
) -> np.ndarray | None:
    """1, doubled where hidden, times `near_weight` near a surface. None if a near voxel lies outside of the box.

    `hidden` (uint8 of 0 and 1) is changed into the result.
    """
    near = index[np.abs(distance_vox) < DISTANCE_TRUNCATION_VOX]
    within = _within(near, start, hidden.shape, grid_shape)
    if within is None:
        return None
    hidden += 1
    flat = hidden.reshape(-1)
    flat[within] *= np.uint8(near_weight)
    return hidden


def _within(index: np.ndarray, start: Shape, shape: tuple[int, ...], grid_shape: Shape) -> np.ndarray | None:
    """Index in a box of an index in the grid; None if one lies outside of it."""
    if len(index) == 0:
        return index
    row, k = np.divmod(index, np.int32(grid_shape[2]))
    i, j = np.divmod(row, np.int32(grid_shape[1]))
    local = [axis - np.int32(low) for axis, low in zip((i, j, k), start, strict=True)]
    if any(axis.min() < 0 or axis.max() >= size for axis, size in zip(local, shape, strict=True)):
        return None
    return (local[0] * np.int32(shape[1]) + local[1]) * np.int32(shape[2]) + local[2]


def _unpack_bits(bits: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.unpackbits(bits, count=int(np.prod(shape))).view(np.bool_).reshape(shape)


def _triple(values: Any) -> Shape:
    a, b, c = values
    return int(a), int(b), int(c)
