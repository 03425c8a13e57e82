"""Reading features between voxel centres: from another level, at points, and from the image behind a voxel."""

import itertools

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.sparse.row_ops import RowMix
from panoptic3d.sparse.voxels import rows_of_cells
from panoptic3d.structures.sparse_voxels import SparseVoxels

_NOTHING = 1e-12  # weights below stand for no voxel at all


def interpolated(
    features: Float[Tensor, "n c"],
    voxels: SparseVoxels,
    points: Float[Tensor, "m 3"],
    member: Int64[Tensor, " m"],
) -> Float[Tensor, "m c"]:
    """Trilinear at points in index units of the set. Absent voxels are left out and the weights of the others fill up to
    one; a point none of whose eight voxels is there reads zeros.
    """
    return trilinear_mix(voxels, points, member)(features)


def upsampled(features: Float[Tensor, "n c"], coarse: SparseVoxels, fine: SparseVoxels) -> Float[Tensor, "m c"]:
    """`interpolated` at the centres of finer voxels: cell c of the coarse level is centred on fine index s*c + (s-1)/2."""
    factor = _factor(coarse, fine)
    points = (fine.coords[:, 1:].double() - (factor - 1) / 2) / factor
    return interpolated(features, coarse, points, fine.coords[:, 0].long())


def from_parent(features: Float[Tensor, "n c"], coarse: SparseVoxels, fine: SparseVoxels) -> Float[Tensor, "m c"]:
    """The features of the coarse voxel that holds each fine one, zeros where it is absent."""
    factor = _factor(coarse, fine)
    cells = torch.div(fine.coords, fine.coords.new_tensor([1, factor, factor, factor]), rounding_mode="floor")
    return _mix_of(rows_of_cells(coarse, cells)[:, None], torch.ones(len(fine), 1).to(features), len(coarse))(features)


def trilinear_mix(voxels: SparseVoxels, points: Float[Tensor, "m 3"], member: Int64[Tensor, " m"]) -> RowMix:
    """The matrix of `interpolated`, for use with several features."""
    low = points.floor()
    fraction = points - low
    rows, weights = [], []
    for corner in itertools.product((0, 1), repeat=3):
        offset = low.new_tensor(corner)
        cells = torch.cat((member[:, None], (low + offset).long()), dim=1)
        rows.append(rows_of_cells(voxels, cells))
        weights.append(torch.where(offset > 0, fraction, 1 - fraction).prod(1))
    found = torch.stack(rows, dim=1)
    weight = torch.where(found >= 0, torch.stack(weights, dim=1), 0.0)
    total = weight.sum(1, keepdim=True)
    weight = torch.where(total > _NOTHING, weight / total.clamp(min=_NOTHING), 0.0)
    return _mix_of(found, weight, len(voxels))


def image_features_at(
    features: Float[Tensor, "b c h w"], pixels: Float[Tensor, "n 2"], member: Int64[Tensor, " n"]
) -> Float[Tensor, "n c"]:
    """Bilinear image features at (u, v), whole numbers being pixel centres; zeros outside of the image.

    The gradient by the features is a sum in a fixed order, unlike `grid_sample`'s on a GPU. There is none by `pixels`.
    """
    batch, channels, height, width = features.shape
    limit = pixels.new_tensor([width - 2, height - 2]).clamp(min=0)
    # At the last pixel, read the one before it with weight 0, so that all points of the image have four neighbours.
    low = torch.where(pixels == limit + 1, limit, pixels.floor())
    (u, v), (right, down) = low.long().unbind(1), (pixels - low).unbind(1)
    rows, weights = [], []
    for i, j in itertools.product((0, 1), repeat=2):
        column, row = u + i, v + j
        is_inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        rows.append(torch.where(is_inside, (member * height + row) * width + column, -1))
        weights.append((right if i else 1 - right) * (down if j else 1 - down))
    flat = features.permute(0, 2, 3, 1).reshape(-1, channels)
    return _mix_of(torch.stack(rows, dim=1), torch.stack(weights, dim=1), batch * height * width)(flat)


def _mix_of(found: Int64[Tensor, "m k"], weights: Float[Tensor, "m k"], num_sources: int) -> RowMix:
    """Row r reads `found[r, i]` with `weights[r, i]`; -1 is nothing."""
    num, each = found.shape
    is_found = found >= 0
    if bool(is_found.all()):
        starts = torch.arange(0, num * each + 1, each, device=found.device)
        return RowMix(num_sources, starts, found.reshape(-1), weights.reshape(-1))
    starts = F.pad(is_found.sum(dim=1).cumsum(dim=0), (1, 0))
    return RowMix(num_sources, starts, found[is_found], weights[is_found])


def _factor(coarse: SparseVoxels, fine: SparseVoxels) -> int:
    if coarse.stride % fine.stride or coarse.batch_size != fine.batch_size:
        raise InputError(
            f"features go from a coarser level to a finer one of the same batch; got strides {coarse.stride} and "
            f"{fine.stride}, batches of {coarse.batch_size} and {fine.batch_size}."
        )
    return coarse.stride // fine.stride
