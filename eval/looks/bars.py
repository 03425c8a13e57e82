"""Figures of how a scene looks from where its photo was taken."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from eval.looks.read_glb import Primitive
from eval.looks.rendered import Rendered

_LIKE, _UNLIKE = 16, 24  # of 255: a pixel has the colour of its class, and its photo has another
_STEP = 0.06  # of the logarithm of depth, a pixel: surfaces do not slope so, save at a very flat angle
_NEAR_PX = 2.0


def share_of_class_colors(
    rendered: Rendered, primitives: Sequence[Primitive], photo: UInt8[np.ndarray, "h w 3"]
) -> float:
    """Pixels of all that show the colour of their segment's class although the photo has another colour there."""
    palette = np.array([p.extras.get("class_color", (128, 128, 128)) for p in primitives] + [(0, 0, 0)], np.float64)
    own = palette[rendered.primitive]
    is_like = np.abs(rendered.colors - own).max(axis=2) < _LIKE
    is_other = np.abs(photo.astype(np.float64) - own).max(axis=2) > _UNLIKE
    return float((is_like & is_other & rendered.is_hit).mean())


def psnr_db(rendered: Rendered, photo: UInt8[np.ndarray, "h w 3"]) -> float:
    """Over all pixels: one without a surface is grey."""
    error = ((rendered.colors - photo.astype(np.float64)) ** 2).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-6)))


def depth_edges(depth_m: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Where depth changes fastest along a row or a column, and faster than surfaces slope. Beside holes there is none."""
    is_known = np.isfinite(depth_m) & (depth_m > 0)
    log_depth = np.log(np.where(is_known, depth_m, 1.0))
    edges = np.zeros(depth_m.shape, np.bool_)
    for axis in (0, 1):
        step = np.abs(ndimage.correlate1d(log_depth, (-0.5, 0.0, 0.5), axis=axis, mode="nearest"))
        is_sound = ndimage.minimum_filter1d(is_known, 3, axis=axis)
        peak = ndimage.maximum_filter1d(step, 5, axis=axis)
        edges |= (step == peak) & (step > _STEP) & is_sound
    return edges


def share_near(edges: Bool[np.ndarray, "h w"], others: Bool[np.ndarray, "h w"]) -> float | None:
    """Of the edges, those with one of the others within two pixels; None where there are no edges."""
    if not edges.any():
        return None
    if not others.any():
        return 0.0
    distance_px = np.asarray(ndimage.distance_transform_edt(~others))
    return float((distance_px[edges] <= _NEAR_PX).mean())
