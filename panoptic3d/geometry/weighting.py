"""The loss weight of a voxel, as the 3D-Front release defines it (PanoRecon, section 1)."""

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

NEAR_SURFACE_FACTOR, HIDDEN_FACTOR = 5, 2
NEAR_SURFACE_VOX = 3.0


def loss_weight(
    distance_vox: Float[Tensor, "*n"], is_occluded: Bool[Tensor, "*n"], in_frustum: Bool[Tensor, "*n"]
) -> UInt8[Tensor, "*n"]:
    """5 near a surface and 1 elsewhere, doubled behind the visible surface within the frustum: {1, 2, 5, 10}."""
    near = torch.where(distance_vox.abs() < NEAR_SURFACE_VOX, NEAR_SURFACE_FACTOR, 1)
    hidden = torch.where(is_occluded & in_frustum, HIDDEN_FACTOR, 1)
    return (near * hidden).to(torch.uint8)
