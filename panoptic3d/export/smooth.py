"""Noise taken out of a mesh without rounding its edges: normals first, then vertices that agree with them.

X. Sun et al., Fast and Effective Feature-Preserving Mesh Denoising (2007): a face listens to its neighbours the more the
nearer their normals are to its own, and not at all across an edge. Small faces know their normals least, so they say less.
"""

import numpy as np
from jaxtyping import Float, Int64
from scipy.sparse import csr_matrix

from panoptic3d.export.rows import directions, dots, lengths, of_corners

_ACROSS = 0.5  # cosine: normals that are farther apart lie on both sides of an edge
_NORMAL_STEPS, _VERTEX_STEPS = 9, 9
_AREA_POWER = 0.6  # of a face's area, in what it says
_OVER = 1.5  # of the way to where its faces want a vertex: it arrives in fewer steps
_FARTHEST_VOX = 0.8


def smoothed(
    vertices: Float[np.ndarray, "v 3"], faces: Int64[np.ndarray, "f 3"], voxel_size: float
) -> Float[np.ndarray, "v 3"]:
    """The vertices where they should be, at most `_FARTHEST_VOX` from where they are. Those of no face stay."""
    if not len(faces):
        return vertices
    corners = _corners_of_vertices(faces, len(vertices))
    beside = _neighbours(corners)
    one, other = np.repeat(np.arange(len(faces)), np.diff(beside.indptr)), beside.indices
    normal = _area_normals(vertices, faces)
    area = lengths(normal)
    voice = (area / max(float(area.mean()), 1e-12)) ** _AREA_POWER
    normal = directions(normal)
    for _ in range(_NORMAL_STEPS):
        weight = np.maximum(dots(normal.take(one, axis=0), normal.take(other, axis=0)) - _ACROSS, 0) ** 2 * voice[other]
        mean = csr_matrix((weight, other, beside.indptr), beside.shape) @ normal
        normal = directions(mean + (voice * (1 - _ACROSS) ** 2)[:, None] * normal)
    moved, count = vertices.copy(), np.maximum(np.asarray(corners.sum(axis=1)), 1)
    for _ in range(_VERTEX_STEPS):
        middle = of_corners(moved, faces) / 3
        # per face: normal times offset, and the products of the normal's components; both summed at the corners
        along = normal * dots(normal, middle)[:, None]
        squares = normal[:, [0, 0, 0, 1, 1, 2]] * normal[:, [0, 1, 2, 1, 2, 2]]
        told = corners @ np.concatenate((along, squares), axis=1)
        moved = moved + _OVER * (told[:, :3] - _times(told[:, 3:], moved)) / count
    way = moved - vertices
    length = lengths(way)[:, None]
    return vertices + way * np.minimum(1, _FARTHEST_VOX * voxel_size / np.maximum(length, 1e-9))


def _times(squares: Float[np.ndarray, "v 6"], points: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    xx, xy, xz, yy, yz, zz = squares.T
    x, y, z = points.T
    return np.stack((xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z), axis=1)


def _corners_of_vertices(faces: np.ndarray, num: int) -> csr_matrix:
    row, column = faces.ravel(), np.repeat(np.arange(len(faces)), 3)
    return csr_matrix((np.ones(len(row)), (row, column)), (num, len(faces)))


def _neighbours(corners: csr_matrix) -> csr_matrix:
    """Marks pairs of faces with a corner in common, each once from either side."""
    shared = corners.T.tocsr() @ corners
    shared.setdiag(0)
    shared.eliminate_zeros()
    return shared


def _area_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)
