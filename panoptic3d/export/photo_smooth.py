"""Visible surfaces of things without the ripples of a depth map: docs/adr/0012-looks.md.

Over the picture the nearness (1 by depth) of a plane is affine. So around each pixel an affine function is fitted to the
nearness of the pixels of the same surface, robustly: planes stay planes, and what hangs off them comes back. Thin parts, of
which a window says little, turn towards the camera.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64
from scipy import ndimage

from panoptic3d.export.photo_depth import pieces

_LEAST_SURFACE = 60  # pixels; what is smaller belongs to a larger surface of its segment
_LEAST_SHARE = 0.04  # of the segment: the same
_WINDOW = 0.13  # of the square root of a surface's pixels: half the window's side
_LEAST_PX, _MOST_PX = 3, 14
_ERRORS = (0.06, 0.025, 0.012)  # of nearness: at which a pixel counts half, round by round
# Thin parts turn towards the camera where the window says little of a slope: across the picture, where a slope that is steep
# is an edge spread by a network; less so down the picture, where tables and beds are seen at flat angles.
_RIDGE_ACROSS, _RIDGE_DOWN = 0.3, 1e-3


def settled(
    depth_m: Float32[np.ndarray, "h w"], segment: Int64[np.ndarray, "h w"], is_thing: Bool[np.ndarray, " s"]
) -> Float32[np.ndarray, "h w"]:
    """Smooth the depth of each visible surface of a thing by itself. `is_thing` has an entry per segment number."""
    result = depth_m.copy()
    for surface in _surfaces(depth_m, segment, is_thing):
        near = 1 / depth_m[surface.box].astype(np.float64)
        near[~surface.mask] = 0
        fitted = _fitted(near, surface.mask, surface.is_sound.astype(np.float64))
        result[surface.box][surface.mask] = (1 / fitted[surface.mask]).astype(np.float32)
    return result


@dataclass(frozen=True, eq=False)
class _Surface:
    box: tuple[slice, slice]
    mask: Bool[np.ndarray, "h w"]
    is_sound: Bool[np.ndarray, "h w"]  # False for what is only believed to belong here


def _surfaces(depth_m: np.ndarray, segment: np.ndarray, is_thing: np.ndarray) -> Iterator[_Surface]:
    """Divide each segment at depth edges; small pieces join the large piece beside them."""
    piece = pieces(depth_m)
    for number, box in enumerate(ndimage.find_objects(segment + 1, max_label=len(is_thing))):
        if box is None or not is_thing[number]:
            continue
        mask = (segment[box] == number) & np.isfinite(depth_m[box])
        names, own = np.unique(piece[box][mask], return_inverse=True)
        size = np.bincount(own.ravel(), minlength=len(names))
        is_large = size >= max(_LEAST_SURFACE, _LEAST_SHARE * mask.sum())
        if not is_large.any():
            continue
        surface = np.zeros(mask.shape, np.int64)
        surface[mask] = np.where(is_large, np.arange(1, len(names) + 1), 0)[own.ravel()]
        at = ndimage.distance_transform_edt(surface == 0, return_distances=False, return_indices=True)
        whole = np.where(mask, surface[tuple(np.asarray(at))], 0)
        for name, inner in enumerate(ndimage.find_objects(whole), start=1):
            if inner is not None:
                place = tuple(slice(a.start + b.start, a.start + b.stop) for a, b in zip(box, inner, strict=True))
                yield _Surface((place[0], place[1]), whole[inner] == name, surface[inner] == name)


def _fitted(
    near: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"], weight: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Around each pixel the affine function of least squares, read there; from round to round what is off counts less."""
    half = int(np.clip(_WINDOW * np.sqrt(mask.sum()), _LEAST_PX, _MOST_PX))
    trust, fitted = weight, near
    for error in _ERRORS:
        fitted = _affine(near, trust, half)
        fitted = np.where(fitted > 0, fitted, near)
        off = (near - fitted) / np.maximum(fitted, 1e-9)
        trust = weight / (1 + (off / error) ** 2)
    return _affine_or(near, trust, half, fitted)


def _affine_or(near: np.ndarray, weight: np.ndarray, half: int, otherwise: np.ndarray) -> Float[np.ndarray, "h w"]:
    fitted = _affine(near, weight, half)
    return np.where(fitted > 0, fitted, otherwise)


def _affine(near: np.ndarray, weight: np.ndarray, half: int) -> Float[np.ndarray, "h w"]:
    """0 where the window has nothing that counts."""
    rows, columns = (np.arange(size, dtype=np.float64) / half for size in near.shape)
    y, x = rows[:, None], columns[None, :]

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(values, 2 * half + 1, mode="constant")

    total = mean(weight)
    safe = np.maximum(total, 1e-12)
    mx, my, mz = mean(weight * x) / safe, mean(weight * y) / safe, mean(weight * near) / safe
    xx = mean(weight * x * x) / safe - mx * mx + _RIDGE_ACROSS
    yy = mean(weight * y * y) / safe - my * my + _RIDGE_DOWN
    xy = mean(weight * x * y) / safe - mx * my
    xz = mean(weight * x * near) / safe - mx * mz
    yz = mean(weight * y * near) / safe - my * mz
    det = np.maximum(xx * yy - xy * xy, 1e-12)
    right, lower = (xz * yy - yz * xy) / det, (yz * xx - xz * xy) / det
    return np.where(total > 1e-9, mz + right * (x - mx) + lower * (y - my), 0.0)
