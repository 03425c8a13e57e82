"""Pooling over occupied voxels: in the windows of a plan, and over whole members of a batch."""

from typing import Any, Literal

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from panoptic3d.sparse.plan import Plan
from panoptic3d.sparse.row_ops import RowMix
from panoptic3d.structures.sparse_voxels import SparseVoxels

Reduction = Literal["sum", "mean", "max"]


def pool(features: Float[Tensor, "fine c"], plan: Plan, reduction: Reduction) -> Float[Tensor, "coarse c"]:
    """Sum, mean or maximum over the fine voxels under each coarse one. Absent voxels do not count; of none it is 0."""
    if reduction == "max":
        return _MaxPool.apply(features, plan)
    return _mix(plan, reduction)(features)


def unpool(features: Float[Tensor, "coarse c"], plan: Plan) -> Float[Tensor, "fine c"]:
    """The sum of all coarse voxels over each fine one: with size = stride a copy of the parent's features."""
    return _mix(plan, "sum").transposed(features)


def global_pool(features: Float[Tensor, "n c"], voxels: SparseVoxels, reduction: Reduction) -> Float[Tensor, "b c"]:
    """One row per member of the batch; an empty member has zeros."""
    members = []
    for rows in features.split(voxels.counts):
        if not len(rows):
            members.append(rows.sum(0))
        elif reduction == "max":
            members.append(rows.max(0).values)
        else:
            members.append(rows.sum(0) if reduction == "sum" else rows.mean(0))
    return torch.stack(members)


def _mix(plan: Plan, reduction: str) -> RowMix:
    neighbours = plan.neighbours("coarse")
    rows, taps = (neighbours >= 0).nonzero(as_tuple=True)
    weights = torch.ones(len(rows), dtype=torch.float64, device=rows.device)
    if reduction == "mean":
        weights = weights / (neighbours >= 0).sum(1)[rows]
    sources = neighbours[rows, taps].long()
    return RowMix.build(rows, sources, weights, num_rows=len(plan.coarse), num_sources=len(plan.fine))


class _MaxPool(torch.autograd.Function):
    """The gradient goes to the first tap that holds the maximum."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, plan: Plan) -> Tensor:
        neighbours = plan.neighbours("coarse")
        best = features.new_full((len(plan.coarse), features.shape[1]), -torch.inf)
        tap_of_best = torch.full(best.shape, -1, dtype=torch.int16, device=best.device)
        for tap in range(neighbours.shape[1]):
            rows = (neighbours[:, tap] >= 0).nonzero()[:, 0]
            values = features[neighbours[rows, tap]]
            wins = (values > best[rows]) | (tap_of_best[rows] < 0)
            best[rows] = torch.where(wins, values, best[rows])
            tap_of_best[rows] = torch.where(wins, tap, tap_of_best[rows])
        ctx.plan = plan
        ctx.save_for_backward(tap_of_best)
        return torch.where(tap_of_best < 0, 0.0, best)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (tap_of_best,) = ctx.saved_tensors
        readers: Int32[Tensor, "n t"] = ctx.plan.neighbours("fine")
        by_features = gradient.new_zeros(len(ctx.plan.fine), gradient.shape[1])
        for tap in range(readers.shape[1]):
            rows = (readers[:, tap] >= 0).nonzero()[:, 0]
            coarse = readers[rows, tap]
            by_features[rows] += torch.where(tap_of_best[coarse] == tap, gradient[coarse], 0.0)
        return by_features, None
