"""Which grid points a camera sees: in its image and between two depths."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# Between these depths the releases keep geometry (PanoRecon, section 1).
NEAR_M, FAR_M = 0.4, 6.0


def frustum_mask(
    intrinsics: Float[Tensor, "3 3"],
    image_size: tuple[int, int],
    grid_shape: tuple[int, int, int],
    voxel_size_m: float,
    camera_index: Sequence[float],
    near_m: float = NEAR_M,
    far_m: float = FAR_M,
) -> Bool[Tensor, "x y z"]:
    """Grid points with near <= depth <= far whose pixel lies in the image, up to the outer borders of its pixels.

    `image_size` is (width, height). The axes of camera and grid agree, so that the test is separable: a column test over
    (i, k), a row test over (j, k), and a depth test over k.
    """
    device = intrinsics.device
    axes = [
        (torch.arange(n, dtype=torch.float64, device=device) - origin) * voxel_size_m
        for n, origin in zip(grid_shape, camera_index, strict=True)
    ]
    x_m, y_m, z_m = axes
    focal_x, focal_y = intrinsics[0, 0].double(), intrinsics[1, 1].double()
    centre_x, centre_y = intrinsics[0, 2].double(), intrinsics[1, 2].double()
    in_front = z_m > 0
    safe_z_m = torch.where(in_front, z_m, torch.ones_like(z_m))
    u = x_m[:, None] / safe_z_m * focal_x + centre_x
    v = y_m[:, None] / safe_z_m * focal_y + centre_y
    width, height = image_size
    in_columns = (u >= -0.5) & (u <= width - 0.5)
    in_rows = (v >= -0.5) & (v <= height - 0.5)
    in_depth = in_front & (z_m >= near_m) & (z_m <= far_m)
    return in_columns[:, None, :] & (in_rows & in_depth)[None, :, :]


def bounding_box(mask: Bool[Tensor, "x y z"]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Smallest half-open box [low, high) with all True voxels; an empty box at the origin for an empty mask."""
    if not bool(mask.any()):
        return (0, 0, 0), (0, 0, 0)
    spans = [mask.any(dim=others).nonzero() for others in ((1, 2), (0, 2), (0, 1))]
    low = tuple(int(span[0]) for span in spans)
    high = tuple(int(span[-1]) + 1 for span in spans)
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])
