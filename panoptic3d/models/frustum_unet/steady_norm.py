"""Instance norm over voxels with sums that stay exact enough for hundreds of thousands of rows.

torch adds the rows of a channels-last batch norm one after the other in float32: over 600,000 rows its statistics were seen
to be wrong by several percent. This network multiplies such errors: here rows are added in blocks, and then the blocks.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panoptic3d.sparse.layers.norms import SparseInstanceNorm
from panoptic3d.structures.sparse_voxels import SparseVoxels

_BLOCK = 256


class SteadyInstanceNorm(SparseInstanceNorm):
    def forward(self, features: Float[Tensor, "n c"], voxels: SparseVoxels) -> Float[Tensor, "n c"]:
        assert self.weight is not None  # affine is this network's only use
        assert self.bias is not None
        members = features.split(voxels.counts)
        done = [steady_norm(rows, self.weight, self.bias, self.eps) for rows in members]
        return done[0] if len(done) == 1 else torch.cat(done)


def steady_norm(
    rows: Float[Tensor, "n c"], weight: Float[Tensor, " c"], bias: Float[Tensor, " c"], eps: float
) -> Float[Tensor, "n c"]:
    """Every channel to mean 0 and (biased) variance 1 over the rows, then scaled and shifted; no rows stay no rows."""
    return _SteadyNorm.apply(rows, weight, bias, eps) if len(rows) else rows  # pyright: ignore[reportReturnType]


def sum_of_rows(rows: Float[Tensor, "n c"]) -> Float[Tensor, " c"]:
    """In two steps, so that rounding grows with the square root of the rows at most."""
    whole = len(rows) // _BLOCK * _BLOCK
    blocks = rows[:whole].view(-1, _BLOCK, rows.shape[1]).sum(dim=1)
    return torch.cat((blocks, rows[whole:].sum(dim=0, keepdim=True))).sum(dim=0)


class _SteadyNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        mean = sum_of_rows(rows) / len(rows)
        variance = sum_of_rows((rows - mean).square_()) / len(rows)
        ctx.save_for_backward(rows, weight, mean, (variance + eps).rsqrt())
        return F.batch_norm(rows, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        rows, weight, mean, scale = ctx.saved_tensors
        (grad,) = grads
        normal = (rows - mean).mul_(scale)
        grad_bias = sum_of_rows(grad)
        grad_weight = sum_of_rows(grad * normal)
        inner = grad - grad_bias / len(rows)
        inner = inner.sub_(normal.mul_(grad_weight / len(rows)))
        return inner.mul_(weight * scale), grad_weight, grad_bias, None
