"""Fewer triangles: vertices that lie together and look the same way become one (quadric clustering, Lindstrom 2000)."""

import numpy as np
from jaxtyping import Float, Int64

_PULL = 1e-2  # towards the middle of the cluster, where its planes leave a direction open


def simplified(
    vertices: Float[np.ndarray, "v 3"], faces: Int64[np.ndarray, "f 3"], cell: float
) -> tuple[Float[np.ndarray, "w 3"], Int64[np.ndarray, "g 3"], Int64[np.ndarray, " g"]]:
    """Vertices, faces, and which of the given faces each of them was. Cells are cubes of the given side.

    A cluster's vertex lies where the planes of its faces meet, so that flat walls stay flat and edges sharp. The two sides
    of a plate look different ways and stay apart.
    """
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)  # its length weighs by area
    cluster = _clusters(vertices, faces, normal, cell)
    num = int(cluster.max(initial=-1)) + 1
    moved = cluster[faces]
    length = np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    unit, height = normal / length[:, None], (normal * a).sum(axis=1) / length
    squared, moment = np.zeros((num, 9)), np.zeros((num, 3))
    outer = (normal[:, :, None] * unit[:, None, :]).reshape(-1, 9)
    for corner in range(3):
        squared += _summed(moved[:, corner], outer, num)
        moment += _summed(moved[:, corner], normal * height[:, None], num)
    middle = _summed(cluster, vertices, num) / np.maximum(np.bincount(cluster, minlength=num), 1)[:, None]
    squared = squared.reshape(num, 3, 3)
    pull = (_PULL * np.trace(squared, axis1=1, axis2=2) + 1e-9)[:, None, None] * np.eye(3)
    rest = moment - np.einsum("vij,vj->vi", squared, middle)
    shift = np.linalg.solve(squared + pull, rest[..., None])[..., 0]
    shift *= np.minimum(1, cell / np.maximum(np.linalg.norm(shift, axis=1), 1e-12))[:, None]
    is_face = (moved[:, 0] != moved[:, 1]) & (moved[:, 1] != moved[:, 2]) & (moved[:, 2] != moved[:, 0])
    kept = np.flatnonzero(is_face)
    return middle + shift, moved[kept], kept


def _clusters(vertices: np.ndarray, faces: np.ndarray, normal: np.ndarray, cell: float) -> Int64[np.ndarray, " v"]:
    """By cube, and by the axis, with its sign, along which a vertex looks most."""
    looks = np.zeros_like(vertices)
    for corner in range(3):
        looks += _summed(faces[:, corner], normal, len(vertices))
    axis = np.abs(looks).argmax(axis=1)
    side = axis * 2 + (looks[np.arange(len(looks)), axis] < 0)
    keys = np.concatenate((np.floor(vertices / cell).astype(np.int64), side[:, None]), axis=1)
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _summed(at: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    return np.stack([np.bincount(at, column, size) for column in values.T], axis=1)
