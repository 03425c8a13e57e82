"""Figures of how a scene looks from where its photo was taken."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from eval.looks.read_glb import Primitive
from eval.looks.rendered import Rendered
from panoptic3d.geometry.room_planes import PlaneRules, fit_room

_LIKE, _UNLIKE = 16, 24  # of 255: a pixel has the colour of its class, and its photo has another
_STEP = 0.06  # of the logarithm of depth, a pixel: surfaces do not slope so, save at a very flat angle
SOFT_STEP = _STEP / 4  # a step that a network spreads over four pixels
_NEAR_PX = 2.0
_ALONG = float(np.sin(np.radians(10.0)))  # within ten degrees of the ray
_OF_PLANE_M = 0.3


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


def depth_edges(depth_m: Float[np.ndarray, "h w"], least: float = _STEP) -> Bool[np.ndarray, "h w"]:
    """Where depth changes fastest along a row or a column, and faster than surfaces slope. Beside holes there is none."""
    is_known = np.isfinite(depth_m) & (depth_m > 0)
    log_depth = np.log(np.where(is_known, depth_m, 1.0))
    edges = np.zeros(depth_m.shape, np.bool_)
    for axis in (0, 1):
        step = np.abs(ndimage.correlate1d(log_depth, (-0.5, 0.0, 0.5), axis=axis, mode="nearest"))
        is_sound = ndimage.minimum_filter1d(is_known, 3, axis=axis)
        peak = ndimage.maximum_filter1d(step, 5, axis=axis)
        edges |= (step == peak) & (step > least) & is_sound
    return edges


def share_near(edges: Bool[np.ndarray, "h w"], others: Bool[np.ndarray, "h w"]) -> float | None:
    """Of the edges, those with one of the others within two pixels; None where there are no edges."""
    if not edges.any():
        return None
    if not others.any():
        return 0.0
    distance_px = np.asarray(ndimage.distance_transform_edt(~others))
    return float((distance_px[edges] <= _NEAR_PX).mean())


def share_of_spikes(primitives: Sequence[Primitive]) -> float | None:
    """Of the area of things that the photo shows, what stands along the rays of the camera: shreds, seen from elsewhere."""
    own = [p.vertices_m[p.faces] for p in primitives if p.extras.get("is_thing") and p.texture is not None]
    if not own:
        return None
    a, b, c = np.concatenate(own).transpose(1, 0, 2)
    normal, middle = np.cross(b - a, c - a), (a + b + c) / 3
    area = np.linalg.norm(normal, axis=1)
    cosine = np.abs((normal * middle).sum(axis=1)) / np.maximum(area * np.linalg.norm(middle, axis=1), 1e-12)
    return float(area[cosine < _ALONG].sum() / area.sum())


def bend_of_walls_deg(primitives: Sequence[Primitive]) -> float | None:
    """Median, by area, of the angle between a face of a wall and the nearest plane of the room; None without a wall."""
    corners = {name: _corners_of(primitives, name) for name in ("floor", "wall")}
    middles = {name: torch.from_numpy(c.mean(axis=1)) for name, c in corners.items()}
    walls = fit_room(middles["floor"], middles["floor"][:0], middles["wall"], PlaneRules()).walls
    if not walls:
        return None
    a, b, c = corners["wall"].transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    area = np.linalg.norm(normal, axis=1)
    gaps = np.stack([plane.distance_m(middles["wall"]).abs().numpy() for plane in walls])
    own = np.stack([plane.normal.numpy() for plane in walls])[gaps.argmin(axis=0)]
    cosine = np.abs((normal * own).sum(axis=1)) / np.maximum(area, 1e-12)
    is_own = (gaps.min(axis=0) < _OF_PLANE_M) & (area > 0)
    order = np.argsort(cosine[is_own])
    share = np.cumsum(area[is_own][order])
    middle = order[np.searchsorted(share, share[-1] / 2)]
    return float(np.degrees(np.arccos(min(1.0, cosine[is_own][middle]))))


def _corners_of(primitives: Sequence[Primitive], name: str) -> Float[np.ndarray, "f 3 3"]:
    own = [p.vertices_m[p.faces] for p in primitives if p.extras.get("class") == name]
    return np.concatenate([np.zeros((0, 3, 3)), *own])
