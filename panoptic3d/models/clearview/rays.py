"""Directions of rays, as maps that networks read."""

import torch
from jaxtyping import Float
from torch import Tensor

from panoptic3d.structures.camera import Camera


def ray_slopes(x: Float[Tensor, "b c h w"], cameras: tuple[Camera, ...]) -> Float[Tensor, "b 2 h w"]:
    """x/z and y/z of the ray of every cell of a map."""
    height, width = x.shape[2:]
    slopes = []
    for camera in cameras:
        own = camera.resized(width, height)
        across = (torch.arange(width, device=x.device) - own.cx_px) / own.fx_px
        down = (torch.arange(height, device=x.device) - own.cy_px) / own.fy_px
        slopes.append(torch.stack((across.expand(height, -1), down[:, None].expand(-1, width))))
    return torch.stack(slopes).to(x.dtype)
