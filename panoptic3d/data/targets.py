"""Training targets from the sparse ground truth, on its device.

The levels of strides 1, 2 and 4 follow PanoRecon (and Uni-3D, which shares all of it but the pooling of masks):

| target | stride 1 | strides 2 and 4 |
| --- | --- | --- |
| occupancy | distance below 3 | the field resampled, below 6 and 8 (`coarse.py`) |
| class, instance | as stored | the largest id within a window of twice the stride around the cell |
| weight | as stored | resampled trilinearly with the corners aligned |
| geometry | distance up to 3 | none |

Every window reaches into two cells along each axis, so a label goes to eight cells: a scatter over the labelled voxels (65
thousand) replaces a pooling over all (17 million).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Int32, Int64, UInt8
from torch import Tensor

from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, Sample, VoxelTruth
from panoptic3d.structures.taxonomy import Taxonomy

MIN_INSTANCE_PIXELS, MAX_INSTANCES = 200, 15  # of PanoRecon; Uni-3D keeps all, of any size on Matterport3D
_NUM_LABELS = 256  # of a byte


@dataclass(frozen=True, eq=False)
class LevelTargets:
    """Dense targets of one level. Cell c of stride s covers the fine indices s*c .. s*c+s-1."""

    stride: int
    occupancy: Bool[Tensor, "x y z"]
    semantic: UInt8[Tensor, "x y z"]
    instance: Int32[Tensor, "x y z"]
    weight: Float32[Tensor, "x y z"]


@dataclass(frozen=True, eq=False)
class Instances2d:
    """Things of the picture that are large enough, by ascending id."""

    ids: tuple[int, ...]  # as in the files
    classes: tuple[int, ...]
    masks: Bool[Tensor, "n h w"]
    boxes: Int64[Tensor, "n 4"]  # left, top, right, bottom, all inside of the mask

    def numbers(self, generator: torch.Generator | None = None, highest: int = MAX_INSTANCES) -> dict[int, int]:
        """File id -> number in 1..highest: in order, or (as PanoRecon trains) distinct ones at random."""
        if generator is None:
            return {instance: number for number, instance in enumerate(self.ids, start=1)}
        drawn = torch.randperm(highest, generator=generator)[: len(self.ids)] + 1
        return dict(zip(self.ids, drawn.tolist(), strict=True))


def level_targets(truth: VoxelTruth, stride: int, numbers: Mapping[int, int] | None = None) -> LevelTargets:
    """Targets of one level. `numbers` renames instances; one that it leaves out becomes 0 and keeps its class."""
    instance = truth.instance if numbers is None else rename(truth.instance, numbers)
    if stride == 1:
        occupancy = truth.dense((truth.distance_vox.abs() < DISTANCE_TRUNCATION_VOX), False)
        semantic, dense_instance = truth.dense_semantic(), truth.dense(instance, 0)
    else:
        occupancy = truth.coarse_occupancy[stride]
        semantic = pool_labels(truth, truth.semantic, stride).to(torch.uint8)
        dense_instance = pool_labels(truth, instance, stride)
    return LevelTargets(stride, occupancy, semantic, dense_instance, dense_weight(truth, stride))


def geometry_target(truth: VoxelTruth) -> Float32[Tensor, "x y z"]:
    """Unsigned distance, truncated at 3 voxels; the signs of Matterport3D are dropped."""
    return truth.dense_distance_vox().abs_().clamp_(max=DISTANCE_TRUNCATION_VOX)


def pool_labels(truth: VoxelTruth, labels: Tensor, stride: int) -> Int32[Tensor, "cx cy cz"]:
    """Largest label in the window of each cell (kernel 2s, stride s, padding s/2); 0 for an empty window."""
    is_labelled = labels != 0
    cells, shape = _window_cells(truth, truth.linear_index[is_labelled], stride)
    values = labels[is_labelled].to(torch.int32).expand(8, -1)
    num_cells = shape[0] * shape[1] * shape[2]
    pooled = values.new_zeros(
        num_cells + 1
    )  # the last one takes what lies outside: a mask would be waited for on a GPU
    cells = torch.where(cells < 0, num_cells, cells)
    return pooled.scatter_reduce_(0, cells.view(-1), values.reshape(-1), "amax")[:-1].view(shape)


def pooled_mask(truth: VoxelTruth, is_member: Bool[Tensor, " n"], stride: int) -> Bool[Tensor, "cx cy cz"]:
    """Cells whose window holds a listed voxel that is a member: the masks of Uni-3D, one for each segment."""
    if stride == 1:
        return truth.dense(is_member, False)
    return pool_labels(truth, is_member.to(torch.uint8), stride) > 0


def dense_weight(truth: VoxelTruth, stride: int) -> Float32[Tensor, "cx cy cz"]:
    weight = truth.dense_weight().float()
    if stride == 1:
        return weight
    size = [length // stride for length in truth.grid.shape]
    return F.interpolate(weight[None, None], size=size, mode="trilinear", align_corners=True)[0, 0]


def weight_at(truth: VoxelTruth, cells: Int64[Tensor, "n 3"], stride: int) -> Float32[Tensor, " n"]:
    """The same for some cells, without the volume: what a sparse network asks for."""
    shape = truth.grid.shape
    coarse = [length // stride for length in shape]
    total = torch.zeros(len(cells), device=cells.device)
    lower, share = [], []
    for axis in range(3):
        scale = (shape[axis] - 1) / max(coarse[axis] - 1, 1)
        position = cells[:, axis].float() * torch.tensor(scale, dtype=torch.float32, device=cells.device)
        lower.append(position.long().clamp(max=shape[axis] - 1))
        share.append(position - lower[axis])
    for corner in range(8):
        steps = [(corner >> axis) & 1 for axis in range(3)]
        index = torch.stack(
            [(low + step).clamp(max=n - 1) for low, step, n in zip(lower, steps, shape, strict=True)], 1
        )
        part = torch.ones(len(cells), device=cells.device)
        for axis in range(3):
            part = part * (share[axis] if steps[axis] else 1 - share[axis])
        total += part * _weight_of_voxels(truth, index)
    return total


def lookup(truth: VoxelTruth, coords: Tensor) -> Int64[Tensor, " n"]:
    """Position of each fine voxel among the listed ones, -1 where it is not listed."""
    _, ny, nz = truth.grid.shape
    linear = ((coords[:, 0].long() * ny + coords[:, 1]) * nz + coords[:, 2]).to(truth.linear_index.dtype)
    if len(truth.linear_index) == 0:
        return torch.full((len(coords),), -1, dtype=torch.int64, device=coords.device)
    position = torch.searchsorted(truth.linear_index, linear).clamp_(max=len(truth.linear_index) - 1)
    return torch.where(truth.linear_index[position] == linear, position, -1)


def rename(instance: Int32[Tensor, " n"], numbers: Mapping[int, int]) -> Int32[Tensor, " n"]:
    """Each id by its number; 0 for an id without one."""
    if not numbers:
        return torch.zeros_like(instance)
    ids, new = torch.tensor(sorted(numbers.items()), dtype=torch.int32, device=instance.device).unbind(1)
    position = torch.searchsorted(ids.contiguous(), instance).clamp_(max=len(ids) - 1)
    return torch.where(ids[position] == instance, new[position], 0)


def instances_2d(sample: Sample, min_pixels: int = MIN_INSTANCE_PIXELS, max_count: int = MAX_INSTANCES) -> Instances2d:
    return instances_of_maps(sample.semantic_2d, sample.instance_2d, sample.taxonomy, min_pixels, max_count)


def instances_of_maps(
    semantic: UInt8[Tensor, "h w"],
    instance_map: Int32[Tensor, "h w"],
    taxonomy: Taxonomy,
    min_pixels: int = MIN_INSTANCE_PIXELS,
    max_count: int | None = MAX_INSTANCES,
) -> Instances2d:
    """Things with more than `min_pixels` pixels, the first `max_count` by id. Its class is the most frequent of its pixels
    (the smaller id on a tie); an instance whose class is no thing is left out.
    """
    ids, place, counts = instance_map.unique(return_inverse=True, return_counts=True)
    pairs = place * _NUM_LABELS + semantic
    labels = torch.bincount(pairs.view(-1), minlength=len(ids) * _NUM_LABELS).view(-1, _NUM_LABELS).argmax(1)
    found = torch.stack((ids.long(), counts, labels), dim=1).tolist()  # all at once: a GPU is waited for
    things = [(i, label) for i, count, label in found if count > min_pixels and i > 0 and taxonomy.is_thing(label)]
    kept = things[:max_count]
    masks = instance_map == instance_map.new_tensor([i for i, _ in kept])[:, None, None]
    return Instances2d(
        ids=tuple(i for i, _ in kept),
        classes=tuple(label for _, label in kept),
        masks=masks,
        boxes=_boxes(masks),
    )


def _boxes(masks: Bool[Tensor, "n h w"]) -> Int64[Tensor, "n 4"]:
    """First column, first row, last column, last row of masks that are not empty."""
    rows, columns = masks.any(2).long(), masks.any(1).long()
    first = [has.argmax(1) for has in (columns, rows)]
    last = [has.shape[1] - 1 - has.flip(1).argmax(1) for has in (columns, rows)]
    return torch.stack((*first, *last), dim=1)


def _window_cells(truth: VoxelTruth, linear: Tensor, stride: int) -> tuple[Int64[Tensor, "8 n"], tuple[int, int, int]]:
    """The eight cells whose window holds each voxel (linear, -1 outside of the level), and the level's shape."""
    x, y, z = truth.grid.shape
    shape = (x // stride, y // stride, z // stride)
    linear = linear.long()
    coords = (linear // (y * z), linear // z % y, linear % z)
    upper = [(axis + stride // 2) // stride for axis in coords]
    corners = []
    for corner in range(8):
        cell = [high - ((corner >> axis) & 1) for axis, high in enumerate(upper)]
        is_inside = torch.ones_like(linear, dtype=torch.bool)
        for value, size in zip(cell, shape, strict=True):
            is_inside &= (value >= 0) & (value < size)
        corners.append(torch.where(is_inside, (cell[0] * shape[1] + cell[1]) * shape[2] + cell[2], -1))
    return torch.stack(corners), shape


def _weight_of_voxels(truth: VoxelTruth, index: Int64[Tensor, "n 3"]) -> Float32[Tensor, " n"]:
    """1 outside of the stored box."""
    if truth.weight.numel() == 0:
        return torch.ones(len(index), device=index.device)
    is_inside, places = torch.ones(len(index), dtype=torch.bool, device=index.device), []
    for along, start, size in zip(index.unbind(1), truth.weight_start, truth.weight.shape, strict=True):
        local = along - start
        is_inside &= (local >= 0) & (local < size)
        places.append(local.clamp(min=0, max=size - 1))
    return torch.where(is_inside, truth.weight[places[0], places[1], places[2]].float(), 1.0)
