"""One single surface from an unsigned distance field, by dual contouring of the grid edges that it crosses.

Every crossed edge gives a quad between the four cells around it; a cell's vertex lies where the planes that its corners
see meet. So a wall is one sheet, a box is closed, and where the grid ends the surface is open.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from panoptic3d.export.crossings import Band, Edges, crossed_edges, find_band
from panoptic3d.export.mesh import Mesh

_TRUNCATION_VOX = 3.0
_REACH_VOX = 0.75  # a vertex may leave its cell by this, so that sharp edges come out where they are
_PULL_TO_CROSSINGS = 0.03  # small against the planes, and enough where they leave a direction open


@dataclass(frozen=True, eq=False)
class Surface:
    """A mesh in grid index units, and what each face is part of: the labels of the nearer end of its grid edge."""

    mesh: Mesh
    face_semantic: UInt8[Tensor, " f"]
    face_instance: Int64[Tensor, " f"]


def extract_surface(
    distance_vox: Float[Tensor, "x y z"], semantic: Tensor, instance: Tensor, toward: tuple[float, float, float]
) -> Surface:
    """Faces of closed parts turn outwards, those of open parts towards the given grid index (the camera's)."""
    field = np.minimum(distance_vox.float().cpu().numpy(), _TRUNCATION_VOX)
    start, window = _window(field)
    band = find_band(np.ascontiguousarray(field[window]))
    edges = crossed_edges(band)
    if not len(edges.start):
        empty = torch.zeros(0, dtype=torch.long)
        return Surface(Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.long)), empty.to(torch.uint8), empty)
    quads, cells = _quads(band, edges)
    vertices = _vertices(band, edges, quads, cells) + start
    faces = _triangles(vertices, quads)
    vertices, faces = _split_pinches(vertices, faces)
    faces = _oriented(vertices, faces, np.array(toward))
    owner = np.where(band.field[edges.start] <= band.field[edges.stop], edges.start, edges.stop)
    i, j, k = torch.from_numpy(np.tile(band.index_of(owner) + start, (2, 1))).unbind(1)
    mesh = Mesh(torch.from_numpy(vertices.astype(np.float32)), torch.from_numpy(faces))
    return Surface(mesh, semantic[i, j, k].to(torch.uint8), instance[i, j, k].long())


def _window(field: np.ndarray) -> tuple[Int64[np.ndarray, "3"], tuple[slice, ...]]:
    """The smallest box around everything that matters; most of a grid is far from any surface."""
    is_near = field < _TRUNCATION_VOX
    spans = [np.flatnonzero(is_near.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    if not len(spans[0]):
        return np.zeros(3, np.int64), (slice(0, 1),) * 3
    return np.array([s[0] for s in spans]), tuple(slice(int(s[0]), int(s[-1]) + 1) for s in spans)


def _quads(band: Band, edges: Edges) -> tuple[Int64[np.ndarray, "e 4"], Int64[np.ndarray, " c"]]:
    """For each edge the four cells around it in turn, as numbers of the list of cells (named by their lowest corner)."""
    strides = np.array(band.strides)
    u, v = strides[(edges.axis + 1) % 3], strides[(edges.axis + 2) % 3]
    around = np.stack((edges.start, edges.start - u, edges.start - u - v, edges.start - v), axis=1)
    cells, numbers = np.unique(around, return_inverse=True)
    return numbers.reshape(around.shape), cells


def _vertices(band: Band, edges: Edges, quads: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Where the planes of a cell's corners meet best; the mean of its crossed edges where they leave a direction open."""
    crossing = band.index_of(edges.start).astype(np.float64)
    near, far = band.field[edges.start], band.field[edges.stop]
    crossing[np.arange(len(near)), edges.axis] += near / np.maximum(near + far, 1e-9)
    at = quads.ravel()
    count = np.bincount(at, minlength=len(cells))[:, None]
    mean = np.stack([np.bincount(at, crossing[:, k].repeat(4), len(cells)) for k in range(3)], axis=1) / count
    squared, moment = np.zeros((len(cells), 3, 3)), np.zeros((len(cells), 3))
    for corner in range(8):
        flat = cells + sum((corner >> k & 1) * band.strides[k] for k in range(3))
        number = band.number[flat]
        length = np.linalg.norm(band.slope[number], axis=1)
        trust = np.where(number >= 0, np.clip(1 - 2 * np.abs(1 - length), 0, 1), 0)
        normal = band.slope[number] / np.maximum(length, 1e-6)[:, None]
        foot = band.index_of(flat) - band.field[flat][:, None] * normal
        squared += (trust[:, None] * normal)[:, :, None] * normal[:, None, :]
        moment += (trust * ((foot - mean) * normal).sum(axis=1))[:, None] * normal
    offset = np.linalg.solve(squared + _PULL_TO_CROSSINGS * np.eye(3), moment[..., None])[..., 0]
    lowest = band.index_of(cells)
    return np.clip(mean + offset, lowest - _REACH_VOX, lowest + 1 + _REACH_VOX)


def _triangles(vertices: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Each quad along its shorter diagonal: the first halves, then the second ones."""
    a, b, c, d = (vertices[quads[:, k]] for k in range(4))
    is_first = np.linalg.norm(a - c, axis=1) <= np.linalg.norm(b - d, axis=1)
    turned = np.where(is_first[:, None], quads, np.roll(quads, -1, axis=1))
    return np.concatenate((turned[:, [0, 1, 2]], turned[:, [0, 2, 3]]))


def _split_pinches(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A vertex at which several fans of faces only touch becomes one vertex a fan, so that every edge has two faces."""
    edge, face, _ = _face_edges(faces)
    one, other, _ = _pairs(vertices, faces)
    corner = np.arange(faces.size)
    by_face = corner.reshape(faces.shape)
    links = []
    for end in (0, 1):  # the corners of the two faces at each end of their common edge are one vertex
        vertex = edge[one, end]
        links.append([by_face[face[e]][faces[face[e]] == vertex[:, None]] for e in (one, other)])
    rows, columns = (np.concatenate([link[side] for link in links]) for side in (0, 1))
    graph = coo_matrix((np.ones(len(rows), np.bool_), (rows, columns)), shape=(faces.size, faces.size))
    _, fan = connected_components(graph, directed=False)
    _, representative = np.unique(fan, return_index=True)
    return vertices[faces.ravel()[representative]], fan.astype(np.int64).reshape(faces.shape)


def _face_edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three edges of every face: sorted ends, face, and whether the face runs along it from the lower to the higher."""
    directed = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
    return np.sort(directed, axis=1), np.tile(np.arange(len(faces)), 3), directed[:, 0] < directed[:, 1]


def _pairs(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which two occurrences of an edge are one fold of one sheet, and which occurrences have no partner.

    Where two sheets touch along an edge its four faces pair up in the order of their angle, so that sheets do not cross.
    """
    edge, face, _ = _face_edges(faces)
    middle = (vertices[edge[:, 0]] + vertices[edge[:, 1]]) / 2
    along = vertices[edge[:, 1]] - vertices[edge[:, 0]]
    third = vertices[faces[face].sum(axis=1) - edge.sum(axis=1)] - middle
    across = np.cross(along, np.eye(3)[np.abs(along).argmin(axis=1)])
    angle = np.arctan2(
        np.einsum("ek,ek->e", third, np.cross(along, across)) / np.maximum(np.linalg.norm(along, axis=1), 1e-12),
        np.einsum("ek,ek->e", third, across),
    )
    order = np.lexsort((angle, edge[:, 1], edge[:, 0]))
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = (edge[order[1:]] != edge[order[:-1]]).any(axis=1)
    group = np.cumsum(is_new) - 1
    count, first = np.bincount(group), np.flatnonzero(is_new)
    rank = np.arange(len(order)) - first[group]
    is_even = count[group] % 2 == 0
    leads = np.flatnonzero(is_even & (rank % 2 == 0))
    return order[leads], order[leads + 1], order[~is_even]


def _oriented(vertices: np.ndarray, faces: np.ndarray, toward: Float[np.ndarray, "3"]) -> np.ndarray:
    """Neighbouring faces run against each other along their edge; a closed part turns outwards, an open one `toward`."""
    _, face, is_up = _face_edges(faces)
    one, other, alone = _pairs(vertices, faces)
    same = is_up[one] == is_up[other]  # then one of the two has to be turned
    size = len(faces)
    rows = np.concatenate((face[one], face[one] + size))
    columns = np.concatenate((face[other] + size * same, face[other] + size * ~same))
    graph = coo_matrix((np.ones(len(rows), np.bool_), (rows, columns)), shape=(2 * size, 2 * size))
    _, label = connected_components(graph, directed=False)  # each part twice: as it is, and turned
    is_turned = label[:size] > label[size:]
    faces = np.where(is_turned[:, None], faces[:, ::-1], faces)
    part = np.minimum(label[:size], label[size:])
    is_open = np.bincount(part[face[alone]], minlength=part.max() + 1) > 0
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    volume = np.bincount(part, np.einsum("fk,fk->f", a - toward, np.cross(b - toward, c - toward)), part.max() + 1)
    # Seen from `toward`, the signed volume of the cone over an open part is negative if its faces turn there.
    is_wrong = np.where(is_open, volume > 0, volume < 0)
    return np.where(is_wrong[part][:, None], faces[:, ::-1], faces)
