"""Which voxels lie behind the visible surface."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from panoptic3d.geometry.pinhole import project


def is_occluded(
    points_m: Float[Tensor, "n 3"], depth_m: Float[Tensor, "h w"], intrinsics: Float[Tensor, "3 3"]
) -> Bool[Tensor, " n"]:
    """Whether each camera-frame point lies behind the surface that its nearest pixel shows.

    Points outside of the image, and points whose pixel has no depth (0), are not occluded.
    """
    height, width = depth_m.shape
    pixels, z_m = project(points_m, intrinsics)
    columns_rows = (
        torch.nan_to_num(pixels + 0.5, nan=-1.0, posinf=-1.0, neginf=-1.0).floor().clamp(-1, max(width, height))
    )
    column, row = columns_rows.long().unbind(-1)
    in_image = (z_m > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    surface_m = depth_m[row.clamp(0, height - 1), column.clamp(0, width - 1)]
    return in_image & (surface_m > 0) & (z_m > surface_m)
