"""Pinhole projection. Camera frame: x right, y down, z forward, metres. Pixel centres lie at integers."""

import torch
from jaxtyping import Float
from torch import Tensor


def pixel_grid(
    height: int, width: int, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> Float[Tensor, "h w 2"]:
    """(u, v) = (column, row) of every pixel centre."""
    v, u = torch.meshgrid(
        torch.arange(height, dtype=dtype, device=device), torch.arange(width, dtype=dtype, device=device), indexing="ij"
    )
    return torch.stack((u, v), dim=-1)


def unproject(
    pixels: Float[Tensor, "*b n 2"], depth_m: Float[Tensor, "*b n"], intrinsics: Float[Tensor, "*b 3 3"]
) -> Float[Tensor, "*b n 3"]:
    """Camera-frame point of each pixel. Depth is along the optical axis, not along the ray."""
    focal, centre = _focal_and_centre(intrinsics)
    xy = (pixels - centre) / focal * depth_m.unsqueeze(-1)
    return torch.cat((xy, depth_m.unsqueeze(-1)), dim=-1)


def project(
    points_m: Float[Tensor, "*b n 3"], intrinsics: Float[Tensor, "*b 3 3"]
) -> tuple[Float[Tensor, "*b n 2"], Float[Tensor, "*b n"]]:
    """Pixel (u, v) and depth of each point. Points at or behind the camera (depth <= 0) have no meaningful pixel."""
    focal, centre = _focal_and_centre(intrinsics)
    depth_m = points_m[..., 2]
    return points_m[..., :2] / depth_m.unsqueeze(-1) * focal + centre, depth_m


def unproject_depth_map(
    depth_m: Float[Tensor, "*b h w"], intrinsics: Float[Tensor, "*b 3 3"]
) -> Float[Tensor, "*b h w 3"]:
    """Camera-frame point of every pixel centre."""
    height, width = depth_m.shape[-2:]
    pixels = pixel_grid(height, width, dtype=depth_m.dtype, device=depth_m.device).view(-1, 2)
    points = unproject(pixels.expand(*depth_m.shape[:-2], -1, -1), depth_m.flatten(-2), intrinsics)
    return points.view(*depth_m.shape, 3)


def _focal_and_centre(intrinsics: Float[Tensor, "*b 3 3"]) -> tuple[Float[Tensor, "*b 1 2"], Float[Tensor, "*b 1 2"]]:
    focal = torch.stack((intrinsics[..., 0, 0], intrinsics[..., 1, 1]), dim=-1)
    return focal.unsqueeze(-2), intrinsics[..., :2, 2].unsqueeze(-2)
