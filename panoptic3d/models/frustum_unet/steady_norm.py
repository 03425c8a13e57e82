"""Instance norm over voxels with sums that stay exact enough for hundreds of thousands of rows.

torch's batch norm adds the rows of a channels-last tensor one after the other in float32: over 600,000 rows its statistics
were seen to be wrong by several percent, and this network multiplies such errors. `sum` adds in a cascade. So does the
reference, which shows where it divides by next to nothing: without any instance a whole input is constant, its variance is
rounding, and the losses agree only with sums of the same kind.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panoptic3d.sparse.layers.norms import SparseInstanceNorm
from panoptic3d.structures.sparse_voxels import SparseVoxels


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


class _SteadyNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        mean = rows.sum(dim=0) / len(rows)
        variance = (rows - mean).square_().sum(dim=0) / len(rows)
        ctx.save_for_backward(rows, weight, mean, (variance + eps).rsqrt())
        return F.batch_norm(rows, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        rows, weight, mean, scale = ctx.saved_tensors
        (grad,) = grads
        normal = (rows - mean).mul_(scale)
        grad_bias = grad.sum(dim=0)
        grad_weight = (grad * normal).sum(dim=0)
        inner = grad - grad_bias / len(rows)
        inner = inner.sub_(normal.mul_(grad_weight / len(rows)))
        return inner.mul_(weight * scale), grad_weight, grad_bias, None
