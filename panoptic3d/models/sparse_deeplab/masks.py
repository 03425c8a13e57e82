"""Where the network may make voxels: the surroundings of what was lifted, inside of the frustum (section 6.2)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int, Int64
from torch import Tensor

from panoptic3d.geometry.thickening import thicken
from panoptic3d.structures.sparse_voxels import SparseVoxels

_WINDOWS = {1: 1, 2: 3, 4: 5, 8: 9}  # of the dilation at each stride
_MARGIN_VOX = max(_WINDOWS.values())


@dataclass(frozen=True, eq=False)
class Region:
    """Cells of a batch of grids at one stride, as a dense mask of the box that they need."""

    mask: Bool[Tensor, "b x y z"]
    origin: tuple[int, int, int]
    stride: int = 1

    def holds(self, cells: Int[Tensor, "n 4"]) -> Bool[Tensor, " n"]:
        """Whether the mask contains cells (batch, i, j, k) of this stride; cells outside of the box are not contained."""
        local = cells.long() - torch.tensor((0, *self.origin), device=cells.device)
        sizes = torch.tensor(self.mask.shape, device=cells.device)
        is_inside = ((local >= 0) & (local < sizes)).all(dim=1)
        found = torch.zeros(len(cells), dtype=torch.bool, device=cells.device)
        found[is_inside] = self.mask[tuple(local[is_inside].unbind(1))]
        return found

    @property
    def cells(self) -> Int64[Tensor, "n 4"]:
        return self.mask.nonzero() + torch.tensor((0, *self.origin), device=self.mask.device)


def region_around(voxels: SparseVoxels, frustum: Bool[Tensor, "b x y z"], margin_vox: int) -> Region:
    """All voxels at most `margin_vox` from one of the set on every axis, inside of the frustum (M_1)."""
    coords = voxels.coords.long()
    low, high = (0, 0, 0), (1, 1, 1)
    if len(coords):
        low = _three(coords[:, 1:].amin(dim=0).sub(margin_vox).clamp(min=0))
        high = _three(coords[:, 1:].amax(dim=0).add(margin_vox + 1).minimum(coords.new_tensor(voxels.shape)))
    shape = [b - a for a, b in zip(low, high, strict=True)]
    mask = torch.zeros((voxels.batch_size, *shape), dtype=torch.bool, device=coords.device)
    mask[tuple((coords - coords.new_tensor((0, *low))).unbind(1))] = True
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return Region(thicken(mask, -margin_vox, margin_vox) & frustum[:, *box], low)


def at_stride(region: Region, frustum: Bool[Tensor, "b x y z"], stride: int) -> Region:
    """The cells of a stride whose first voxel lies in the frustum and near the region (M_t)."""
    reach = _WINDOWS[stride] // 2
    low = [(a - _MARGIN_VOX) // stride for a in region.origin]
    sizes = region.mask.shape[1:]
    num = [-(-(a + n + _MARGIN_VOX) // stride) - b for a, n, b in zip(region.origin, sizes, low, strict=True)]
    mask = region.mask
    for axis, (first, count) in enumerate(zip(low, num, strict=True), start=1):
        mask = _any_around(mask, axis, first * stride - region.origin[axis - 1], count, stride, reach)
    inside = _lattice(frustum, low, num, stride)
    return Region(mask & inside, (low[0], low[1], low[2]), stride)


def _any_around(mask: Tensor, axis: int, start: int, count: int, stride: int, reach: int) -> Bool[Tensor, "b x y z"]:
    """Along one axis, at `start + stride * n`: whether any place within reach holds; outside there is nothing."""
    size = mask.shape[axis]
    shape = list(mask.shape)
    shape[axis] = count
    out = mask.new_zeros(shape)
    for offset in range(-reach, reach + 1):
        first = max(0, -(-(-start - offset) // stride))
        last = min(count, -(-(size - start - offset) // stride))
        if last > first:
            at = start + offset + stride * first
            places = torch.arange(at, at + stride * (last - first), stride, device=mask.device)
            out.narrow(axis, first, last - first).logical_or_(mask.index_select(axis, places))
    return out


def _lattice(frustum: Tensor, low: list[int], num: list[int], stride: int) -> Bool[Tensor, "b x y z"]:
    """Sample the frustum at the first voxel of each cell of a box. Outside of the grid it is empty."""
    for axis, (first, count) in enumerate(zip(low, num, strict=True), start=1):
        frustum = _any_around(frustum, axis, first * stride, count, stride, 0)
    return frustum


def _three(values: Tensor) -> tuple[int, int, int]:
    a, b, c = values.tolist()
    return a, b, c
