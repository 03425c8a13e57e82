"""Exact distances from voxels to triangles, many at a time. Everything here is in voxels, in the grid's own frame."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32


@dataclass(frozen=True, eq=False)
class FlatTriangles:
    """Triangles in frames of their own: A at the origin, B on the first axis, C above it; the third axis is the normal."""

    corners: Float32[np.ndarray, "t 3 3"]
    number: Int32[np.ndarray, " t"]  # of the soup's triangle; pieces of one share it
    frame: Float32[np.ndarray, "t 3 3"]  # rows: along A to B, across, normal
    b: Float32[np.ndarray, " t"]
    c: Float32[np.ndarray, "t 2"]

    def __len__(self) -> int:
        return len(self.corners)


def flatten(corners: np.ndarray, number: np.ndarray) -> FlatTriangles:
    """Triangles must have an area."""
    ab, ac = (corners[:, n].astype(np.float64) - corners[:, 0] for n in (1, 2))
    along = ab / np.linalg.norm(ab, axis=1, keepdims=True)
    normal = np.cross(ab, ac)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    across = np.cross(normal, along)
    frame = np.stack([along, across, normal], axis=1)
    b, c = np.einsum("tc,tc->t", ab, along), np.einsum("trc,tc->tr", frame[:, :2], ac)
    return FlatTriangles(*(np.asarray(a, np.float32) for a in (corners,)), number, *_floats(frame, b, c))


def squared_distance(
    x: np.ndarray,
    y: np.ndarray,
    height: np.ndarray,
    b: np.ndarray | float,
    c_x: np.ndarray | float,
    c_y: np.ndarray | float,
) -> np.ndarray:
    """Of points in a triangle's own frame; the triangle's numbers broadcast against the points."""
    beyond_x = x - b
    edge_x = c_x - b
    share = np.clip(beyond_x * edge_x + y * c_y, 0.0, None)
    share *= 1.0 / (edge_x * edge_x + c_y * c_y)
    share = np.minimum(share, 1.0)
    bc = np.square(beyond_x - share * edge_x) + np.square(y - share * c_y)
    share = np.clip(x * c_x + y * c_y, 0.0, None)
    share *= 1.0 / (c_x * c_x + c_y * c_y)
    share = np.minimum(share, 1.0)
    ca = np.square(x - share * c_x) + np.square(y - share * c_y)
    outside = np.minimum(bc, ca)
    over = x - np.minimum(np.maximum(x, 0.0), b)
    outside = np.minimum(outside, over * over + y * y)
    is_inside = (y >= 0) & (edge_x * y - c_y * beyond_x >= 0) & (c_x * y - c_y * x <= 0)
    outside[is_inside] = 0.0
    return outside + height * height


def pair_distances(triangles: FlatTriangles, which: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Squared distance of each point to the triangle `which` beside it."""
    local = points - triangles.corners[which, 0]
    frame = triangles.frame[which]
    x, y, height = (np.einsum("nc,nc->n", local, frame[:, axis]) for axis in range(3))
    return squared_distance(x, y, height, triangles.b[which], triangles.c[which, 0], triangles.c[which, 1])


def split(corners: np.ndarray, number: np.ndarray, max_edge: float) -> tuple[np.ndarray, np.ndarray]:
    """Halve triangles across their longest edge until none is longer than `max_edge`."""
    done: list[tuple[np.ndarray, np.ndarray]] = []
    while len(corners):
        edges = np.linalg.norm(corners - corners[:, [1, 2, 0]], axis=2)
        is_long = edges.max(axis=1) > max_edge
        done.append((corners[~is_long], number[~is_long]))
        corners, number, edges = corners[is_long], number[is_long], edges[is_long]
        turn = (edges.argmax(axis=1)[:, None] + np.arange(3)) % 3
        a, b, c = np.take_along_axis(corners, turn[:, :, None], axis=1).transpose(1, 0, 2)
        middle = (a + b) / 2
        corners = np.concatenate([np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)])
        number = np.concatenate([number, number])
    if not done:
        return corners, number
    return np.concatenate([d[0] for d in done]), np.concatenate([d[1] for d in done])


def _floats(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(array.astype(np.float32) for array in arrays)
