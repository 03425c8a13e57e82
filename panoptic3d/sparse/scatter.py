"""Points into voxels: several rows of one cell become one, the same way every time."""

from typing import Any, Literal

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from panoptic3d.sparse.row_ops import RowMix, pick
from panoptic3d.sparse.voxels import rows_of_cells, voxel_set
from panoptic3d.structures.sparse_voxels import SparseVoxels

Deduplication = Literal["first", "mean", "sum", "max"]


def scatter(
    features: Float[Tensor, "m c"],
    coords: Int[Tensor, "m 4"],
    batch_size: int,
    shape: tuple[int, int, int],
    how: Deduplication,
) -> tuple[Float[Tensor, "n c"], SparseVoxels]:
    """Features of points (batch, i, j, k) on their distinct voxels.

    "first" keeps the first point of a voxel in the given order. That is the rule of PanoRecon's reference on a CPU, whose
    points come pixel by pixel, row-major, with the seven offsets -3 .. 3 along k innermost.
    """
    voxels = voxel_set(coords, batch_size, shape)
    rows = rows_of_cells(voxels, coords)
    if how == "first":
        return pick(features, _first_points(rows, len(voxels))), voxels
    if how == "max":
        return _MaxByRow.apply(features, rows, len(voxels)), voxels
    return _mix(rows, len(voxels), is_mean=how == "mean")(features), voxels


def _first_points(rows: Int64[Tensor, " m"], num_rows: int) -> Int64[Tensor, " n"]:
    _, order = torch.sort(rows, stable=True)
    starts = torch.bincount(rows, minlength=num_rows).cumsum(0)
    return order[torch.cat((starts.new_zeros(1), starts[:-1]))] if num_rows else order


def _mix(rows: Int64[Tensor, " m"], num_rows: int, is_mean: bool) -> RowMix:
    weights = torch.ones(len(rows), dtype=torch.float64, device=rows.device)
    if is_mean:
        weights = weights / torch.bincount(rows, minlength=num_rows)[rows]
    points = torch.arange(len(rows), device=rows.device)
    return RowMix.build(rows, points, weights, num_rows=num_rows, num_sources=len(rows))


class _MaxByRow(torch.autograd.Function):
    """The gradient goes to the first point that holds the maximum."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, rows: Tensor, num_rows: int) -> Tensor:
        index = rows[:, None].expand_as(features)
        best = features.new_full((num_rows, features.shape[1]), -torch.inf)
        best = best.scatter_reduce(0, index, features, "amax")
        number = torch.arange(len(rows), device=rows.device)[:, None].expand_as(features)
        candidate = torch.where(features == best[rows], number, len(rows))
        point = torch.full(best.shape, len(rows), device=rows.device).scatter_reduce(0, index, candidate, "amin")
        ctx.save_for_backward(point)
        ctx.num_points = len(rows)
        return best

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (point,) = ctx.saved_tensors
        zeros = gradient.new_zeros(ctx.num_points, gradient.shape[1])
        return zeros.scatter(0, point, gradient), None, None
