"""The view that a network takes, cut from a photo without distortion."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from scipy.sparse import csr_array
from torch import Tensor

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.pixel_map import PixelMap
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX
from panoptic3d.structures.scene import PanopticScene


@dataclass(frozen=True, eq=False)
class CanonicalView:
    image: UInt8[Tensor, "3 h w"]
    camera: Camera
    is_photo: Bool[Tensor, "h w"]  # False where the photo does not reach: the mean colour stands there
    from_photo: PixelMap


def seen_by(image: UInt8[Tensor, "3 h w"], camera: Camera, target: Camera) -> CanonicalView:
    """What `target` sees of the photo of `camera`: same centre, same axes, so each axis is resampled by itself."""
    columns, has_column = _weights(camera.fx_px, camera.cx_px, camera.width, target.fx_px, target.cx_px, target.width)
    rows, has_row = _weights(camera.fy_px, camera.cy_px, camera.height, target.fy_px, target.cy_px, target.height)
    channels = [(columns @ (rows @ channel).T).T for channel in image.double().numpy()]
    mixed = torch.from_numpy(np.stack(channels))
    is_photo = has_row[:, None] & has_column[None, :]
    mean = image.double().mean(dim=(1, 2))[:, None, None]
    pixels = torch.where(is_photo, mixed, mean).round().clamp(0, 255).to(torch.uint8)
    return CanonicalView(pixels, target, is_photo, PixelMap.between(camera, target))


def within_photo(scene: PanopticScene, camera: Camera) -> PanopticScene:
    """What a network made up beside the photo, where its view shows the mean colour, is taken away."""
    near = (scene.distance_vox < DISTANCE_TRUNCATION_VOX).nonzero()
    points = scene.grid.camera_from_index(near.double())
    depth = points[:, 2]
    u = points[:, 0] / depth * camera.fx_px + camera.cx_px
    v = points[:, 1] / depth * camera.fy_px + camera.cy_px
    is_inside = (u >= -0.5) & (u <= camera.width - 0.5) & (v >= -0.5) & (v <= camera.height - 0.5) & (depth > 0)
    i, j, k = near[~is_inside].unbind(1)
    volumes = [volume.clone() for volume in (scene.distance_vox, scene.semantic, scene.instance)]
    for volume, empty in zip(volumes, (DISTANCE_TRUNCATION_VOX, 0, 0), strict=True):
        volume[i, j, k] = empty
    return replace(scene, distance_vox=volumes[0], semantic=volumes[1], instance=volumes[2])


def _positions(focal: float, centre: float, new_focal: float, new_centre: float, new_size: int) -> Tensor:
    """Where the new pixels lie on the axis of the old ones."""
    return (torch.arange(new_size, dtype=torch.float64) - new_centre) / new_focal * focal + centre


def _weights(
    focal: float, centre: float, size: int, new_focal: float, new_centre: float, new_size: int
) -> tuple[csr_array, Bool[Tensor, " new"]]:
    """Tent filter, as wide as a new pixel where the picture shrinks; and which new pixels the old picture reaches."""
    at = _positions(focal, centre, new_focal, new_centre, new_size)
    reach = max(1.0, focal / new_focal)
    distance = (at[:, None] - torch.arange(size, dtype=torch.float64)).abs() / reach
    weight = (1 - distance).clamp(min=0)
    is_reached = (at >= -0.5) & (at <= size - 0.5)
    weight = weight / weight.sum(dim=1, keepdim=True).clamp(min=1e-12)
    return csr_array(weight.numpy()), is_reached  # a few of each row are not zero
