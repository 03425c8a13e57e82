"""Shapes whose distance is known by formula, turned and shifted by a seed, on a grid of 40 points a side."""

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

SIZE = 40
Field = Callable[[np.ndarray], np.ndarray]  # points -> signed distance, voxels

_L_PROFILE = np.array([[-8.0, -8.0], [8, -8], [8, 8], [0, 8], [0, -2], [-8, -2]])
_L_HALF_WIDTH = 11.0


def grid_points() -> np.ndarray:
    axis = np.arange(SIZE, dtype=np.float64)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)


def make_shape(kind: str, seed: int) -> Field:
    turn = Rotation.random(random_state=seed).as_matrix()
    centre = SIZE / 2 + np.random.default_rng(seed).uniform(-1, 1, 3)
    local = {
        "sphere": lambda p: np.linalg.norm(p, axis=-1) - 11.3,
        "box": lambda p: _box(p, np.array([9.0, 6.5, 7.2])),
        "sofa": _l_prism,
        "sheet": lambda p: _box(p, np.array([11.0, 0.0, 9.0])),
        "plate": lambda p: _box(p, np.array([11.0, 0.5, 9.0])),
    }[kind]
    return lambda points: local((points - centre) @ turn)


def points_on(field: Field, num_tries: int = 150_000) -> np.ndarray:
    """Points of the zero set, by walking down the gradient; where the walk does not arrive it is left out."""
    points = np.random.default_rng(1).uniform(1, SIZE - 2, (num_tries, 3))
    points = points[np.abs(field(points)) < 1.2]
    for _ in range(6):
        step = 1e-4
        slope = np.stack([np.abs(field(points + e)) - np.abs(field(points - e)) for e in np.eye(3) * step], 1) / (
            2 * step
        )
        points = points - np.abs(field(points))[:, None] * slope
    return points[np.abs(field(points)) < 1e-3]


def points_of_mesh(vertices: np.ndarray, faces: np.ndarray, num: int = 60_000) -> np.ndarray:
    generator = np.random.default_rng(0)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = generator.choice(len(faces), num, p=area / area.sum())
    u, v = np.sqrt(generator.random((num, 1))), generator.random((num, 1))
    return a[chosen] * (1 - u) + b[chosen] * u * (1 - v) + c[chosen] * u * v


def _box(p: np.ndarray, half: np.ndarray) -> np.ndarray:
    beyond = np.abs(p) - half
    return np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(-1), 0)


def _l_prism(p: np.ndarray) -> np.ndarray:
    """An L in (y, z), drawn out along x: the sofa of the issue."""
    flat, beyond = _polygon(p[..., 1:]), np.abs(p[..., 0]) - _L_HALF_WIDTH
    return np.minimum(np.maximum(flat, beyond), 0) + np.hypot(np.maximum(flat, 0), np.maximum(beyond, 0))


def _polygon(p: np.ndarray) -> np.ndarray:
    squared, sign = np.full(p.shape[:-1], np.inf), np.ones(p.shape[:-1])
    for a, b in zip(_L_PROFILE, np.roll(_L_PROFILE, 1, axis=0), strict=True):
        along, offset = b - a, p - a
        share = np.clip(offset @ along / (along @ along), 0, 1)
        squared = np.minimum(squared, ((offset - share[..., None] * along) ** 2).sum(-1))
        above_a, below_b = p[..., 1] >= a[1], p[..., 1] < b[1]
        is_left = along[0] * offset[..., 1] > along[1] * offset[..., 0]
        is_crossed = (above_a & below_b & is_left) | (~above_a & ~below_b & ~is_left)
        sign = np.where(is_crossed, -sign, sign)
    return sign * np.sqrt(squared)
