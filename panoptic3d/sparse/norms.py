"""Normalisation over occupied voxels."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor

from panoptic3d.sparse.runtime.parallel import over_blocks
from panoptic3d.structures.sparse_voxels import SparseVoxels


def instance_norm(
    features: Float[Tensor, "n c"],
    voxels: SparseVoxels,
    weight: Float[Tensor, " c"] | None = None,
    bias: Float[Tensor, " c"] | None = None,
    eps: float = 1e-8,
    is_fresh: bool = False,
) -> Float[Tensor, "n c"]:
    """Every member of the batch and channel to mean 0 and (biased) variance 1 over its own voxels.

    `eps` is added to the variance; its default is MinkowskiEngine's. Statistics are never below float32. Features that are
    fresh (nobody else holds them) are written over where no gradient is wanted.
    """
    wide = features.to(torch.promote_types(features.dtype, torch.float32))
    members = wide.split(voxels.counts)
    if is_fresh and not torch.is_grad_enabled():
        for rows in members:
            _normalise_by_blocks(rows, weight, bias, eps, rows)
        return wide.to(features.dtype)
    members = [_normalised(rows, weight, bias, eps) for rows in members]
    return (members[0] if len(members) == 1 else torch.cat(members)).to(features.dtype)


def batch_norm(
    features: Float[Tensor, "n c"],
    weight: Float[Tensor, " c"] | None = None,
    bias: Float[Tensor, " c"] | None = None,
    eps: float = 1e-5,
) -> Float[Tensor, "n c"]:
    """Every channel over all voxels of the batch, by their own statistics."""
    wide = features.to(torch.promote_types(features.dtype, torch.float32))
    return _normalised(wide, weight, bias, eps).to(features.dtype)


def _normalised(rows: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    if not len(rows):
        return rows
    if not torch.is_grad_enabled():
        return _normalise_by_blocks(rows, weight, bias, eps, torch.empty_like(rows))
    weight, bias = (None if p is None else p.to(rows.dtype) for p in (weight, bias))
    return _Normalised.apply(rows, weight, bias, eps)  # pyright: ignore[reportReturnType]


class _Normalised(torch.autograd.Function):
    """Statistics by `sum`, which adds in a cascade. torch's own batch norm adds the rows of a channels-last tensor one
    after the other in float32: over 600,000 rows it was wrong by several percent, and a network multiplies such errors.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        mean = rows.sum(dim=0) / len(rows)
        variance = (rows - mean).square_().sum(dim=0) / len(rows)
        ctx.save_for_backward(rows, weight, mean, (variance + eps).rsqrt())
        return F.batch_norm(rows, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        rows, weight, mean, scale = ctx.saved_tensors
        (grad,) = grads
        normal = (rows - mean).mul_(scale)
        grad_bias = grad.sum(dim=0)
        grad_weight = (grad * normal).sum(dim=0)
        inner = grad - grad_bias / len(rows)
        inner = inner.sub_(normal.mul_(grad_weight / len(rows)))
        needs_weight, needs_bias = ctx.needs_input_grad[1:3]
        scale = scale if weight is None else weight * scale
        return inner.mul_(scale), grad_weight if needs_weight else None, grad_bias if needs_bias else None, None


_BYTES_PER_BLOCK = 1 << 20  # stay in the cache of a core


def _normalise_by_blocks(rows: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, out: Tensor) -> Tensor:
    """Normalise without a gradient, block by block on several threads. `out` may be `rows`; nothing else is written."""
    if not len(rows):
        return out
    weight, bias = (None if p is None else p.to(rows.dtype) for p in (weight, bias))
    rows_per_block = max(_BYTES_PER_BLOCK // max(rows.element_size() * rows.shape[1], 1), 1)
    parts = rows.split(rows_per_block)
    mean, variance = _joined(over_blocks(_moments, parts, rows.device))
    scale = (variance + eps).rsqrt().to(rows.dtype)
    scale, centre = scale if weight is None else scale * weight, mean.to(rows.dtype)

    def write(block: tuple[Tensor, Tensor]) -> None:
        part, target = block
        torch.sub(part, centre, out=target)
        if bias is None:
            target.mul_(scale)
        else:
            torch.addcmul(bias, target, scale, out=target)

    over_blocks(write, list(zip(parts, out.split(rows_per_block), strict=True)), rows.device)
    return out


Moments = tuple[int, Float64[Tensor, " c"], Float64[Tensor, " c"]]


def _moments(rows: Float[Tensor, "n c"]) -> Moments:
    """Number of rows, mean, and sum of squares about it, of each channel."""
    mean = rows.sum(dim=0) / len(rows)
    return len(rows), mean.double(), (rows - mean).square_().sum(dim=0).double()


def _joined(moments: list[Moments]) -> tuple[Float64[Tensor, " c"], Float64[Tensor, " c"]]:
    """Mean and biased variance of all parts together, in float64 and in their order."""
    counts = torch.tensor([[n] for n, _, _ in moments], dtype=torch.float64, device=moments[0][1].device)
    means, squares = (torch.stack(of_parts) for of_parts in ([m for _, m, _ in moments], [s for _, _, s in moments]))
    mean = (counts * means).sum(dim=0) / counts.sum()
    return mean, (squares + counts * (means - mean).square()).sum(dim=0) / counts.sum()
