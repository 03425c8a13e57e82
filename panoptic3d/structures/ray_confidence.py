"""How far the depth map of a photo is to be believed at points of its frustum."""

import torch
from jaxtyping import Float
from torch import Tensor

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.given_depth import MEASURED_LOG_SPREAD
from panoptic3d.structures.pixel_map import DepthMap


def ray_confidence(
    depth_map: DepthMap, camera: Camera, points_m: Float[Tensor, "n 3"], behind: float, margin_m: float
) -> Float[Tensor, " n"]:
    """Up to 1: confident rays more, and points behind the surface that their own ray shows `behind` times as much.

    A ray is as confident as its spread is small; one with the spread of a measured depth has 1.
    """
    depth_m = depth_map.depth_m.float()
    (sx, sy), (dx, dy) = depth_map.from_photo.scale, depth_map.from_photo.shift
    x, y, z = points_m.unbind(1)
    column = _nearest((x / z * camera.fx_px + camera.cx_px) * sx + dx, depth_m.shape[1])
    row = _nearest((y / z * camera.fy_px + camera.cy_px) * sy + dy, depth_m.shape[0])
    confidence = torch.where(z > depth_m[row, column] + margin_m, behind, 1.0).float()
    if depth_map.log_spread is not None:
        sure = torch.exp(MEASURED_LOG_SPREAD - depth_map.log_spread.float()).clamp(max=1)
        confidence = confidence * sure[row, column]
    return confidence


def _nearest(pixel: Float[Tensor, " n"], size: int) -> Tensor:
    return (pixel + 0.5).floor().clamp(0, size - 1).long()
