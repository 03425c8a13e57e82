"""A coarse level read at finer voxels as a dense resize would: trilinear, and absent voxels hold a fill value."""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.sparse.row_ops import RowMix
from panoptic3d.structures.sparse_voxels import SparseVoxels

# Where the value of coarse cell c lies: "centres" at the middle of its fine cells, s*c + (s-1)/2; "corners" stretched so that
# the first and the last cell lie on the first and the last fine index, as `align_corners=True` does.
Placement = Literal["corners", "centres"]


def resampled_box(
    features: Float[Tensor, "n c"], voxels: SparseVoxels, fill: float, placement: Placement
) -> tuple[Float[Tensor, "b c x y z"], tuple[int, int, int]]:
    """The part of the fine grid that is anything but `fill`, and its first index."""
    low, high = _box_of(voxels)
    sizes = [b - a for a, b in zip(low, high, strict=True)]
    local = voxels.coords.long() - torch.tensor((0, *low), device=voxels.device)
    member, i, j, k = local.unbind(1)
    cells = ((member * sizes[0] + i) * sizes[1] + j) * sizes[2] + k
    rows = features.new_full((voxels.batch_size * sizes[0] * sizes[1] * sizes[2], features.shape[1]), fill)
    volume = rows.index_copy(0, cells, features).view(voxels.batch_size, *sizes, -1).movedim(-1, 1)
    origin = []
    for axis in range(3):
        positions = _positions(voxels.shape[axis], voxels.stride, placement, features)
        inside = ((positions >= low[axis]) & (positions <= high[axis] - 1)).nonzero()[:, 0]
        origin.append(int(inside[0]) if len(inside) else 0)
        local_position = positions[inside] - low[axis]
        first = local_position.floor().long().clamp(max=max(sizes[axis] - 2, 0))
        share = (local_position - first).view([-1 if d == axis + 2 else 1 for d in range(5)])
        after = volume.index_select(axis + 2, (first + 1).clamp(max=sizes[axis] - 1))
        volume = torch.lerp(volume.index_select(axis + 2, first), after, share)
    return volume, (origin[0], origin[1], origin[2])


def resampling_mix(voxels: SparseVoxels, fine_cells: Int64[Tensor, "m 4"], placement: Placement) -> RowMix:
    """The matrix from the rows of a level, with one more row that holds the fill, to fine cells (batch, i, j, k)."""
    low, high = _box_of(voxels)
    sizes = [b - a for a, b in zip(low, high, strict=True)]
    num_cells = voxels.batch_size * sizes[0] * sizes[1] * sizes[2]
    row_of = torch.full((num_cells,), len(voxels), dtype=torch.int32, device=voxels.device)
    local = voxels.coords.long() - torch.tensor((0, *low), device=voxels.device)
    row_of[((local[:, 0] * sizes[0] + local[:, 1]) * sizes[1] + local[:, 2]) * sizes[2] + local[:, 3]] = torch.arange(
        len(voxels), dtype=torch.int32, device=voxels.device
    )
    cells = fine_cells[:, :1]
    weights = torch.ones(len(fine_cells), 1, device=voxels.device)
    outside = torch.zeros(len(fine_cells), 1, dtype=torch.bool, device=voxels.device)
    for axis in range(3):
        positions = _positions(voxels.shape[axis], voxels.stride, placement, weights)
        first = positions.floor().clamp(max=max(voxels.shape[axis] - 2, 0))
        share = (positions - first)[fine_cells[:, 1 + axis], None]
        at = first.long()[fine_cells[:, 1 + axis], None] + torch.arange(2, device=voxels.device)
        weights = (weights[:, :, None] * torch.cat((1 - share, share), dim=1)[:, None, :]).flatten(1)
        beyond = (at < low[axis]) | (at >= high[axis])
        outside = (outside[:, :, None] | beyond[:, None, :]).flatten(1)
        step = (at - low[axis]).clamp(0, sizes[axis] - 1)
        cells = (cells[:, :, None] * sizes[axis] + step[:, None, :]).flatten(1)
    rows = torch.where(outside, len(voxels), row_of[cells].long())
    starts = torch.arange(0, rows.numel() + 1, 8, device=voxels.device)
    return RowMix(len(voxels) + 1, starts, rows.reshape(-1), weights.reshape(-1))


def resampled(features: Float[Tensor, "n c"], mix: RowMix, fill: float | Float[Tensor, " c"]) -> Float[Tensor, "m c"]:
    """Features of a level through `resampling_mix`."""
    beside = features.new_zeros(1, features.shape[1]) + fill
    return mix(torch.cat((features, beside)))


def _box_of(voxels: SparseVoxels) -> tuple[list[int], list[int]]:
    """The cells that hold a voxel, with one more on every side where the grid goes on."""
    if not len(voxels):
        return [0, 0, 0], [1, 1, 1]
    low = (voxels.coords[:, 1:].amin(dim=0) - 1).clamp(min=0).tolist()
    high = (voxels.coords[:, 1:].amax(dim=0) + 2).tolist()
    return low, [min(a, b) for a, b in zip(high, voxels.shape, strict=True)]


def _positions(num_coarse: int, stride: int, placement: Placement, like: Tensor) -> Float[Tensor, " fine"]:
    """Fine indices in coarse coordinates; they continue beyond the first and the last cell."""
    num_fine = num_coarse * stride
    fine = torch.arange(num_fine, dtype=like.dtype, device=like.device)
    if placement == "corners":
        return fine * ((num_coarse - 1) / max(num_fine - 1, 1))
    return ((fine - (stride - 1) / 2) / stride).clamp(0, num_coarse - 1)
