"""Norms as modules, with one call signature, so that a block can be told which to use."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.sparse.norms import batch_norm, instance_norm
from panoptic3d.structures.sparse_voxels import SparseVoxels

NormName = Literal["instance", "batch", "none"]


class SparseInstanceNorm(nn.Module):
    """Per member of the batch and channel. `eps` defaults to MinkowskiEngine's."""

    def __init__(self, num_channels: int, eps: float = 1e-8, affine: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_channels)) if affine else None

    def forward(
        self, features: Float[Tensor, "n c"], voxels: SparseVoxels, is_fresh: bool = False
    ) -> Float[Tensor, "n c"]:
        """If `is_fresh`, the features are overwritten when no gradient is needed; nothing else may hold them."""
        return instance_norm(features, voxels, self.weight, self.bias, self.eps, is_fresh)


class SparseBatchNorm(nn.Module):
    """Per channel over the voxels of the whole batch; in evaluation by running statistics. Not synchronised over ranks."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.register_buffer("running_mean", torch.zeros(num_channels))
        self.register_buffer("running_var", torch.ones(num_channels))

    def forward(
        self, features: Float[Tensor, "n c"], voxels: SparseVoxels, is_fresh: bool = False
    ) -> Float[Tensor, "n c"]:
        if not self.training:
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)
            return (features * scale + (self.bias - self.running_mean * scale)).to(features.dtype)
        if len(features) > 1:
            self._update(features.detach().to(torch.promote_types(features.dtype, torch.float32)))
        return batch_norm(features, self.weight, self.bias, self.eps)

    def _update(self, features: Tensor) -> None:
        variance, mean = torch.var_mean(features, dim=0)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)


class NoNorm(nn.Module):
    def forward(
        self, features: Float[Tensor, "n c"], voxels: SparseVoxels, is_fresh: bool = False
    ) -> Float[Tensor, "n c"]:
        return features


def norm_layer(name: NormName, num_channels: int) -> nn.Module:
    match name:
        case "instance":
            return SparseInstanceNorm(num_channels)
        case "batch":
            return SparseBatchNorm(num_channels)
        case "none":
            return NoNorm()
