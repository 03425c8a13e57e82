"""Exact distances from voxels to flat convex polygons of four corners, many at a time.

A triangle is one whose last corner is its first again. Most furniture is made of rectangles, and one rectangle costs hardly
more than each of its two triangles. Everything here is in voxels, in the grid's own frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int32

_FLAT = 1e-5  # how far the normals of two triangles of one polygon may differ
_EPSILON = 1e-12
_ORDER = np.array([1.0, 0.6180339887, 0.3819660113])  # no two corners are likely to weigh the same


@dataclass(frozen=True, eq=False)
class FlatPolygons:
    """Polygons in frames of their own: A at the origin, B on the first axis, the inside above it, the third the normal."""

    corners: Float32[np.ndarray, "q 4 3"]
    number: Int32[np.ndarray, " q"]  # of the soup's triangle; pieces of one polygon share it
    frame: Float32[np.ndarray, "9 q"]  # along A to B, across, normal
    width: Float32[np.ndarray, " q"]  # of A to B
    edges: Float32[np.ndarray, "3 5 q"]  # B to C, C to D, D to A: start, step, 1 / squared length

    def __len__(self) -> int:
        return len(self.corners)

    @property
    def normals(self) -> Float32[np.ndarray, "q 3"]:
        return self.frame[6:].T


def paired(corners: Float[np.ndarray, "t 3 3"], part_of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Polygons [q, 4, 3] that are all the triangles, and the number of the (first) triangle of each.

    Two triangles of a part that share their longest edge and a plane, and together are convex, become one polygon.
    """
    as_polygons = np.concatenate([corners, corners[:, :1]], axis=1)
    first, second = _longest_edge_in_common(corners, part_of)
    quads, fits = _joined(corners[first], corners[second])
    as_polygons[first[fits]] = quads[fits]
    kept = np.ones(len(corners), np.bool_)
    kept[second[fits]] = False
    number = np.flatnonzero(kept).astype(np.int32)
    return as_polygons[number], number


def _longest_edge_in_common(corners: np.ndarray, part_of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles whose longest edge is the longest of exactly one other: the lower and the higher number of each couple."""
    lengths = np.square(corners - corners[:, [1, 2, 0]]).sum(axis=2)
    start = lengths.argmax(axis=1)
    rows = np.arange(len(corners))
    ends = np.stack([corners[rows, start], corners[rows, (start + 1) % 3]], axis=1)
    is_swapped = (ends[:, 0] @ _ORDER) > (ends[:, 1] @ _ORDER)
    ends[is_swapped] = ends[is_swapped][:, ::-1]
    keys = np.concatenate([ends.reshape(-1, 6), part_of[:, None]], axis=1)
    order = np.lexsort(keys.T)  # stable: couples come with the lower number first
    same = (keys[order][1:] == keys[order][:-1]).all(axis=1)
    before, after = np.r_[False, same[:-1]], np.r_[same[1:], False]
    chosen = np.flatnonzero(same & ~before[: len(same)] & ~after[: len(same)])
    return order[chosen], order[chosen + 1]


def _joined(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of each pair going around, and whether they are a flat convex polygon."""
    same = (first[:, :, None] == second[:, None, :]).all(axis=3)
    shared_1, shared_2 = same.any(axis=2), same.any(axis=1)
    fits = (shared_1.sum(axis=1) == 2) & (shared_2.sum(axis=1) == 2)
    rows = np.arange(len(first))
    lone = (~shared_1).argmax(axis=1)
    u, s, t = (first[rows, (lone + n) % 3] for n in range(3))
    w = second[rows, (~shared_2).argmax(axis=1)]
    quads = np.stack([u, s, w, t], axis=1)
    normal = _unit(np.cross(s - u, t - u))
    fits &= np.einsum("nc,nc->n", normal, _unit(np.cross(w - s, t - s))) > 1 - _FLAT
    steps = np.roll(quads, -1, axis=1) - quads
    turns = np.einsum("nkc,nc->nk", np.cross(steps, np.roll(steps, -1, axis=1)), normal)
    return quads, fits & (turns > 0).all(axis=1)


def flatten(corners: Float[np.ndarray, "q 4 3"], number: Int32[np.ndarray, " q"]) -> FlatPolygons:
    """Polygons must have an area."""
    corners = corners.astype(np.float64)
    lengths = np.square(np.roll(corners, -1, axis=1) - corners).sum(axis=2)
    turn = (lengths.argmax(axis=1)[:, None] + np.arange(4)) % 4  # A to B is the longest edge: never without length
    corners = np.take_along_axis(corners, turn[:, :, None], axis=1)
    a, b, c, d = corners.transpose(1, 0, 2)
    along, normal = _unit(b - a), _unit(np.cross(c - a, d - b))
    across = np.cross(normal, along)
    flat = np.stack([np.einsum("qkc,qc->kq", corners - a[:, None], axis) for axis in (along, across)], axis=1)
    edges = []
    for start, end in ((1, 2), (2, 3), (3, 0)):
        step = flat[end] - flat[start]
        edges.append(np.concatenate([flat[start], step, 1 / np.maximum(np.square(step).sum(axis=0), _EPSILON)[None]]))
    frame = np.concatenate([along, across, normal], axis=1).T
    parts = (frame, np.sqrt(lengths.max(axis=1)), np.array(edges))
    return FlatPolygons(corners.astype(np.float32), number, *(np.ascontiguousarray(p, np.float32) for p in parts))


def squared_distance(
    x: np.ndarray, y: np.ndarray, height: np.ndarray, width: np.ndarray | float, edges: Sequence[Any]
) -> np.ndarray:
    """Squared distance of points to polygons, in each polygon's own frame; its numbers broadcast against the points."""
    over = x - np.minimum(np.maximum(x, 0), width)
    outside = over * over + y * y
    is_inside = y >= 0
    for start_x, start_y, step_x, step_y, per_square in edges:
        from_x, from_y = x - start_x, y - start_y
        share = np.minimum(np.maximum((from_x * step_x + from_y * step_y) * per_square, 0), 1)
        is_inside &= step_x * from_y - step_y * from_x >= 0
        from_x -= share * step_x
        from_y -= share * step_y
        outside = np.minimum(outside, from_x * from_x + from_y * from_y)
    outside[is_inside] = 0
    return outside + height * height


def pair_distances(polygons: FlatPolygons, which: np.ndarray, points: Float32[np.ndarray, "n 3"]) -> np.ndarray:
    """Squared distance of each point to the polygon `which` beside it."""
    a = polygons.corners[:, 0].T
    offset = [points[:, n] - a[n].take(which) for n in range(3)]
    frame = polygons.frame
    turned = [[offset[n] * frame[3 * row + n].take(which) for n in range(3)] for row in range(3)]
    x, y, height = (first + second + third for first, second, third in turned)
    edges = [[values.take(which) for values in edge] for edge in polygons.edges]
    return squared_distance(x, y, height, polygons.width.take(which), edges)


def split(
    corners: np.ndarray, number: np.ndarray, max_width: float, max_length: float
) -> tuple[np.ndarray, np.ndarray]:
    """Halve polygons across their longest edge until the box of each has a second side of at most `max_width` and a
    longest of at most `max_length`.
    """
    done: list[tuple[np.ndarray, np.ndarray]] = []
    while len(corners):
        extent = np.sort(corners.max(axis=1) - corners.min(axis=1), axis=1)
        is_big = (extent[:, 1] > max_width) | (extent[:, 2] > max_length)
        done.append((corners[~is_big], number[~is_big]))
        corners, number = corners[is_big], number[is_big]
        edges = np.square(corners - corners[:, [1, 2, 3, 0]]).sum(axis=2)
        turn = (edges.argmax(axis=1)[:, None] + np.arange(4)) % 4
        a, b, c, d = np.take_along_axis(corners, turn[:, :, None], axis=1).transpose(1, 0, 2)
        middle, opposite = (a + b) / 2, (c + d) / 2
        corners = np.concatenate(
            [np.stack([a, middle, opposite, d], axis=1), np.stack([middle, b, c, opposite], axis=1)]
        )
        number = np.concatenate([number, number])
    if not done:
        return corners, number
    return np.concatenate([d[0] for d in done]), np.concatenate([d[1] for d in done])


def surface_points(polygons: FlatPolygons, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Points on each polygon, at most about `spacing` apart, and whose they are."""
    edges = np.sqrt(np.square(polygons.corners - polygons.corners[:, [1, 2, 3, 0]]).sum(axis=2))
    counts = np.maximum(np.ceil(np.maximum(edges[:, :2], edges[:, 2:]) / spacing).astype(np.int64), 1)
    code = counts[:, 0] * 4096 + counts[:, 1]
    points, owner = [], []
    for group in np.unique(code):
        chosen = np.flatnonzero(code == group)
        s, t = ((np.arange(n) + 0.5) / n for n in divmod(int(group), 4096))
        s, t = (axis.ravel() for axis in np.meshgrid(s, t, indexing="ij"))
        weights = np.stack([(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t], axis=1).astype(np.float32)
        points.append(np.einsum("lw,qwc->qlc", weights, polygons.corners[chosen]).reshape(-1, 3))
        owner.append(np.repeat(chosen, len(weights)))
    return np.concatenate(points), np.concatenate(owner)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _EPSILON)
