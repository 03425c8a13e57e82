"""Rays of pixels."""

import numpy as np
from jaxtyping import Float

from panoptic3d.structures.camera import Camera


def ray_slopes(camera: Camera) -> Float[np.ndarray, "h w 3"]:
    """The point at depth 1 of every pixel."""
    x = (np.arange(camera.width) - camera.cx_px) / camera.fx_px
    y = (np.arange(camera.height) - camera.cy_px) / camera.fy_px
    return np.stack(np.broadcast_arrays(x, y[:, None], 1.0), axis=-1)
