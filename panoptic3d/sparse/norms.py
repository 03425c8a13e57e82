"""Normalisation over the voxels that are there."""

import torch
from jaxtyping import Float
from torch import Tensor

from panoptic3d.structures.sparse_voxels import SparseVoxels


def instance_norm(
    features: Float[Tensor, "n c"],
    voxels: SparseVoxels,
    weight: Float[Tensor, " c"] | None = None,
    bias: Float[Tensor, " c"] | None = None,
    eps: float = 1e-8,
) -> Float[Tensor, "n c"]:
    """Every member of the batch and channel to mean 0 and (biased) variance 1 over its own voxels.

    `eps` is added to the variance; its default is MinkowskiEngine's. Statistics are never below float32.
    """
    wide = features.to(torch.promote_types(features.dtype, torch.float32))
    members = [_normalised(rows, weight, bias, eps) for rows in wide.split(voxels.counts)]
    return torch.cat(members).to(features.dtype)


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
    weight, bias = (None if p is None else p.to(rows.dtype) for p in (weight, bias))
    return torch.batch_norm(rows, weight, bias, None, None, True, 0.0, eps, False)
