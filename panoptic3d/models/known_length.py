"""A measured distance between two points of the photo."""

from typing import Any

import torch

from panoptic3d.errors import InputError
from panoptic3d.geometry.pinhole import unproject
from panoptic3d.models.slots import Seen
from panoptic3d.structures.given_depth import KnownLength
from panoptic3d.structures.pixel_map import PixelMap

_LEAST_M = 0.02  # in the network's own scene: nearer points say nothing about a scale


def with_known_length(seen: Seen, length: KnownLength) -> tuple[Seen, dict[str, Any]]:
    """Scale all maps of one image so that the predicted distance between the two pixels is the true one."""
    camera, depth_m = seen.rays.cameras[0], seen.rays.depth_m[0].double().cpu()
    way = seen.fitted.from_photo.then(PixelMap.between(seen.fitted.cameras[0], camera))
    pixels = torch.tensor([way.at(end) for end in length.ends_px], dtype=torch.float64)
    column, row = pixels.round().long().unbind(dim=1)
    height, width = depth_m.shape
    if bool(((column < 0) | (column >= width) | (row < 0) | (row >= height)).any()):
        raise InputError("an end of the known length lies outside of the photo; give two of its pixels.")
    first, second = unproject(pixels, depth_m[row, column], camera.intrinsics)
    own_m = float((first - second).norm())
    if own_m < _LEAST_M:
        raise InputError(f"the ends of the known length are {own_m:.3f} m apart in the scene; mark a longer one.")
    factor = length.metres / own_m
    facts = {"known_length_m": length.metres, "own_length_m": round(own_m, 4), "factor": round(factor, 5)}
    return seen.scaled(factor), facts
