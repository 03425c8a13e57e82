"""Questions about triangles that need no acceleration structure: am I inside, and what lies below me?"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

_CHUNK = 2_000_000  # point-triangle pairs at a time


def winding_along(
    points: Float[np.ndarray, "p 3"], corners: Float[np.ndarray, "t 3 3"], axis: int
) -> Int[np.ndarray, " p"]:
    """How often closed surfaces enclose each point, counted by the triangles that a ray along +axis crosses."""
    total = np.zeros(len(points), dtype=np.int64)
    for at, hits, height, sign in _columns(points, corners, axis):
        above = hits & (height > points[at, axis, None])
        total[at] += np.sum(np.where(above, sign, 0), axis=1)
    return total


def is_inside(points: Float[np.ndarray, "p 3"], corners: Float[np.ndarray, "t 3 3"]) -> Bool[np.ndarray, " p"]:
    """Two of the three axes agree: what open or broken surfaces need, and closed ones do not mind."""
    found = winding_along(points, corners, 2) > 0
    sure = found.copy()
    if found.any():
        votes = sum((winding_along(points[found], corners, axis) > 0).astype(int) for axis in (0, 1))
        sure[found] = votes >= 1
    return sure


def surface_below(
    points: Float[np.ndarray, "p 3"], corners: Float[np.ndarray, "t 3 3"], reach_m: float
) -> Float[np.ndarray, " p"]:
    """Height of the highest surface that is at most `reach_m` above each point; -inf without a surface."""
    best = np.full(len(points), -np.inf)
    for at, hits, height, _ in _columns(points, corners, 2):
        fits = hits & (height <= points[at, 2, None] + reach_m)
        best[at] = np.maximum(best[at], np.max(np.where(fits, height, -np.inf), axis=1, initial=-np.inf))
    return best


def _columns(
    points: Float[np.ndarray, "p 3"], corners: Float[np.ndarray, "t 3 3"], axis: int
) -> Iterator[tuple[slice, Bool[np.ndarray, "p t"], Float[np.ndarray, "p t"], Int[np.ndarray, " t"]]]:
    """By chunks of points: `(slice, hits [p t], where along the axis [p t], sign of the facing [t])`."""
    u, v = (axis + 1) % 3, (axis + 2) % 3
    # Off the lattice on which vertices lie: no ray meets an edge.
    x, y = points[:, u] + 3.7e-6, points[:, v] + 5.3e-6
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    near = (corners[..., u].min(1) <= x.max(initial=-np.inf)) & (corners[..., u].max(1) >= x.min(initial=np.inf))
    near &= (corners[..., v].min(1) <= y.max(initial=-np.inf)) & (corners[..., v].max(1) >= y.min(initial=np.inf))
    a, b, c = a[near], b[near], c[near]
    area = (b[:, u] - a[:, u]) * (c[:, v] - a[:, v]) - (b[:, v] - a[:, v]) * (c[:, u] - a[:, u])
    whole = np.abs(area) > 1e-14
    a, b, c, area = a[whole], b[whole], c[whole], area[whole]
    step = max(1, _CHUNK // max(1, len(area)))
    for start in range(0, len(points), step):
        at = slice(start, start + step)
        px, py = x[at, None], y[at, None]
        wb = ((px - a[:, u]) * (c[:, v] - a[:, v]) - (py - a[:, v]) * (c[:, u] - a[:, u])) / area
        wc = ((b[:, u] - a[:, u]) * (py - a[:, v]) - (b[:, v] - a[:, v]) * (px - a[:, u])) / area
        hits = (wb >= 0) & (wc >= 0) & (wb + wc <= 1)
        height = a[:, axis] + wb * (b[:, axis] - a[:, axis]) + wc * (c[:, axis] - a[:, axis])
        yield at, hits, height, np.sign(area).astype(np.int64)
