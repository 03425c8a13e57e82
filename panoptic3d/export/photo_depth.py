"""The depth of what a photo shows, at the pixels of its mesh, with sharp edges: docs/adr/0012-looks.md.

A network's depth is soft: between a thing and the wall behind it lies a ramp of several pixels on which there is nothing.
Each pixel of a ramp goes to one of its two sides, by its colour and its place on the ramp, and takes the depth of that side.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Int64
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.pixel_map import DepthMap, PixelMap

MESH_SIDE_PX = 320  # of the longer side: about the pixels that networks see
_CUT = 0.025  # of depth: how far the depth of a pixel may be from what its neighbours expect
_FLATTEST = 0.05  # relative depth change per pixel; steeper pixels are artefacts between surfaces
_LEAST_PIECE = 40  # pixels; smaller pieces between cuts are remains of ramps
_REACH_PX = 9  # a ramp and a little of both its sides lie within
_STEP = 0.06  # of the logarithm of depth: smaller steps stay ramps
_WIDEST = 0.5  # of the window: what rises all through it is a slope and no ramp
_STEEP = 0.3  # of the steepest nearby: the ramp itself
_COLOR_SHARE = 1.5  # of the colours' word against that of the place on the ramp
_SMOOTH_PX = 1.0
_FILL_STEPS = 2 * _REACH_PX


def mesh_camera(camera: Camera) -> Camera:
    """The camera of the pixels that become a mesh."""
    scale = min(1.0, MESH_SIDE_PX / max(camera.width, camera.height))
    return camera.resized(max(2, round(camera.width * scale)), max(2, round(camera.height * scale)))


def read_depth(depth_map: DepthMap, photo: Camera, camera: Camera) -> Float32[np.ndarray, "h w"]:
    """At the pixels of `camera`, between those of the map as a plane would have it. What lies beside the map is continued."""
    way = PixelMap.resized((camera.width, camera.height), (photo.width, photo.height)).then(depth_map.from_photo)
    nearness = 1 / depth_map.depth_m.double().clamp(min=1e-3).cpu().numpy()
    for axis, (size, k) in enumerate(((camera.height, 1), (camera.width, 0))):
        at = np.arange(size) * way.scale[k] + way.shift[k]
        at = np.clip(at, 0, nearness.shape[axis] - 1)
        low = np.minimum(np.floor(at).astype(np.int64), max(nearness.shape[axis] - 2, 0))
        high = np.minimum(low + 1, nearness.shape[axis] - 1)
        share = (at - low)[:, None] if axis == 0 else at - low
        nearness = nearness.take(low, axis) * (1 - share) + nearness.take(high, axis) * share
    return (1 / nearness).astype(np.float32)


def joined(near: Float[np.ndarray, "h w"], axis: int) -> Bool[np.ndarray, "h2 w2"]:
    """Whether each pixel and the next one along the axis are one surface: over the picture a plane's nearness (1 by depth)
    grows evenly.
    """
    moved = np.moveaxis(near, axis, 0)
    step = np.diff(moved, axis=0)
    before, after = np.full_like(step, np.nan), np.full_like(step, np.nan)
    before[1:], after[:-1] = step[:-1], step[1:]
    with np.errstate(invalid="ignore"):
        odd = np.fmin(np.abs(step), np.fmin(np.abs(step - before), np.abs(step - after)))
        mean = (moved[1:] + moved[:-1]) / 2
        is_one = (odd < _CUT * mean) & (np.abs(step) < _FLATTEST * mean)  # false beside what is open
    return np.moveaxis(is_one, 0, axis)


def pieces(depth_m: Float32[np.ndarray, "h w"]) -> Int64[np.ndarray, "h w"]:
    """The number of the surface, from cut to cut, that each pixel is part of."""
    near = 1 / depth_m.astype(np.float64)
    number = np.arange(near.size).reshape(near.shape)
    across, down = joined(near, axis=1), joined(near, axis=0)
    one = np.concatenate((number[:, :-1][across], number[:-1][down]))
    other = np.concatenate((number[:, 1:][across], number[1:][down]))
    _, piece = connected_components(coo_matrix((np.ones(len(one), np.bool_), (one, other)), (near.size,) * 2))
    return piece.astype(np.int64).reshape(near.shape)


def islands(mask: Bool[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
    """The number of the connected patch of the mask that each pixel is part of; 0 outside."""
    number = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, output=number)
    return number


def without_flakes(depth_m: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Small pieces that hang between cuts go to the larger one beside them that is nearest in depth."""
    near = 1 / depth_m.astype(np.float64)
    piece = pieces(depth_m)
    is_small = (np.bincount(piece.ravel()) < _LEAST_PIECE)[piece]
    if is_small.all():
        return depth_m
    value, is_known = np.pad(np.log(near), 1, mode="edge"), np.pad(~is_small, 1, constant_values=False)
    rows, columns = np.nonzero(is_small)
    while len(rows):
        own = value[rows + 1, columns + 1]
        best, gap = own.copy(), np.full(len(rows), np.inf)
        for i, j in np.ndindex(3, 3):
            there = value[rows + i, columns + j]
            is_better = is_known[rows + i, columns + j] & (np.abs(there - own) < gap)
            best, gap = np.where(is_better, there, best), np.where(is_better, np.abs(there - own), gap)
        done = np.isfinite(gap)
        value[rows[done] + 1, columns[done] + 1] = best[done]
        is_known[rows[done] + 1, columns[done] + 1] = True
        rows, columns = rows[~done], columns[~done]
    return np.exp(-value[1:-1, 1:-1]).astype(np.float32)


def sharpened(depth_m: Float32[np.ndarray, "h w"], guide: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w"]:
    """Ramps become steps. `guide` is the photo at the same pixels, 0 to 1. Slopes are left alone."""
    height, width = depth_m.shape
    pad = min(_REACH_PX, height - 1, width - 1)
    near = np.pad(
        np.log(1 / depth_m), pad, mode="reflect", reflect_type="odd"
    )  # grows towards the camera; slopes go on
    guide = np.pad(guide, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
    size = 2 * _REACH_PX + 1
    low, high = ndimage.minimum_filter(near, size), ndimage.maximum_filter(near, size)
    smooth = ndimage.gaussian_filter(near, _SMOOTH_PX)
    slope = np.hypot(*(ndimage.correlate1d(smooth, (-0.5, 0.0, 0.5), axis=axis, mode="nearest") for axis in (0, 1)))
    steepest = ndimage.maximum_filter(slope, size)
    step = high - low
    has_step = (step > _STEP) & (step < _WIDEST * size * steepest)
    is_ramp = has_step & (slope > _STEEP * steepest) & (slope * size > _STEP)
    if not is_ramp.any():
        return depth_m
    place = np.where(step > 0, (near - low) / np.maximum(step, 1e-9), 0.5)
    is_front = _votes(place, guide, is_ramp, has_step, size) > 0
    filled = np.exp(-_filled(near, is_ramp, is_front, (low + high) / 2)).astype(np.float32)
    inner = slice(pad, pad + height), slice(pad, pad + width)
    return np.where(is_ramp[inner], filled[inner], depth_m)


def _votes(
    place: np.ndarray, guide: np.ndarray, is_ramp: np.ndarray, has_step: np.ndarray, size: int
) -> Float[np.ndarray, "h w"]:
    """Above 0 for what belongs to the front of its ramp."""
    distances = []
    for side in (place > 0.5, place <= 0.5):
        weight = (side & ~is_ramp & has_step).astype(np.float32)
        total = ndimage.uniform_filter(weight, size)
        mean = [ndimage.uniform_filter(guide[..., k] * weight, size) for k in range(3)]
        mean = np.stack(mean, axis=-1) / np.maximum(total, 1e-6)[..., None]
        distances.append(np.where(total > 1e-6, np.abs(guide - mean).sum(axis=-1), np.nan))
    front, back = distances
    told = np.nan_to_num((back - front) / np.maximum(back + front, 0.05))
    return (2 * place - 1) + _COLOR_SHARE * told


def _filled(
    near: np.ndarray, is_ramp: Bool[np.ndarray, "h w"], is_front: Bool[np.ndarray, "h w"], middle: np.ndarray
) -> np.ndarray:
    """Ring by ring: front pixels take from neighbours in front of the middle, the others from those behind."""
    height, width = near.shape
    value = np.pad(near, 1, mode="edge")
    is_known = np.pad(~is_ramp, 1, constant_values=False)
    rows, columns = np.nonzero(is_ramp)
    front, half = is_front[rows, columns], middle[rows, columns]
    for _ in range(_FILL_STEPS):
        total, count = np.zeros(len(rows)), np.zeros(len(rows))
        for i, j in np.ndindex(3, 3):
            there = value[rows + i, columns + j]
            weight = is_known[rows + i, columns + j] & ((there > half) == front)
            total += weight * there
            count += weight
        done = count > 0
        value[rows[done] + 1, columns[done] + 1] = total[done] / count[done]
        is_known[rows[done] + 1, columns[done] + 1] = True
        rows, columns, front, half = rows[~done], columns[~done], front[~done], half[~done]
        if not len(rows):
            break
    return value[1 : height + 1, 1 : width + 1]
