"""One single surface from an unsigned distance field: docs/adr/0006-meshes-and-page.md argues for the method.

Free space falls into regions; each is wrapped in a shell that is put back onto the surface (`shell`), and of the two layers
that this gives one stays (`layers`). So a wall is one sheet, a box is closed, and known space ends in open borders.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from panoptic3d.export.free_space import FreeSpace, find_free_space
from panoptic3d.export.layers import one_layer
from panoptic3d.export.mesh import Mesh
from panoptic3d.export.numbering import numbered
from panoptic3d.export.rows import dots, lengths
from panoptic3d.export.shell import Shell, make_shell
from panoptic3d.export.simplify import simplified


@dataclass(frozen=True, eq=False)
class Surface:
    """A mesh in grid index units, and what each face is part of: the labels of the grid point nearest to it."""

    mesh: Mesh
    face_semantic: UInt8[Tensor, " f"]
    face_instance: Int64[Tensor, " f"]


def extract_surface(
    distance_vox: Float[Tensor, "x y z"],
    semantic: Tensor,
    instance: Tensor,
    camera_index: tuple[float, float, float],
    is_known: Bool[Tensor, "x y z"] | None = None,
) -> Surface:
    """Faces turn towards the free space that they are seen from: outwards on closed things, to the camera on sheets. Beyond
    `is_known` (everywhere, if not given) no surface is continued.
    """
    field = distance_vox.float().cpu().numpy()
    known = None if is_known is None else is_known.cpu().numpy()
    eye = np.array(camera_index, np.float64)
    space = find_free_space(field, eye, known)
    shell = None if space is None else make_shell(space)
    if space is None or shell is None:
        empty = torch.zeros(0, dtype=torch.long)
        return Surface(Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.long)), empty.to(torch.uint8), empty)
    shell = shell.chosen(one_layer(space, shell, eye))
    with ThreadPoolExecutor(1, thread_name_prefix="labels") as beside:
        labels = beside.submit(_labels, space, shell, semantic, instance)
        mesh = _mesh(shell)
    face_semantic, face_instance = (torch.from_numpy(np.tile(of_quad, 2)) for of_quad in labels.result())
    return Surface(mesh, face_semantic.to(torch.uint8), face_instance.long())


def _mesh(shell: Shell) -> Mesh:
    used, quads = numbered(shell.quads, len(shell.vertices))
    vertices = shell.vertices[used]
    vertices, faces = _split_pinches(vertices, _triangles(vertices, quads))
    return Mesh(torch.from_numpy(vertices.astype(np.float32)), torch.from_numpy(faces))


def simplified_surface(surface: Surface, cell_vox: float) -> Surface:
    vertices, faces, kept = simplified(surface.mesh.vertices.double().numpy(), surface.mesh.faces.numpy(), cell_vox)
    mesh = Mesh(torch.from_numpy(vertices.astype(np.float32)), torch.from_numpy(faces))
    rows = torch.from_numpy(kept)
    return Surface(mesh, surface.face_semantic[rows], surface.face_instance[rows])


def _labels(space: FreeSpace, shell: Shell, semantic: Tensor, instance: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """What most of the eight grid points around each quad are, the nearer ones counting more; where none has a label, that of
    the quad's own end in the shell.
    """
    classes, things = semantic.cpu().numpy(), instance.cpu().numpy()
    centres = shell.centres.T
    low = np.floor(centres).astype(np.int64)
    beside = np.clip((low, low + 1), 0, np.array(classes.shape)[:, None] - 1)
    share = (1 - (centres - low), centres - low)
    own = tuple(space.index_of(shell.shell_end).T)
    options, weights = [_joined(classes[own], things[own])], [np.full(low.shape[1], 1e-6)]
    for i, j, k in np.ndindex(2, 2, 2):
        at = (beside[i, 0], beside[j, 1], beside[k, 2])
        options.append(_joined(classes[at], things[at]))
        weights.append(np.where(classes[at] > 0, share[i][0] * share[j][1] * share[k][2], 0))
    winner = _most_voted(options, weights)
    return (winner >> 32).astype(classes.dtype), (winner & 0xFFFFFFFF).astype(things.dtype)


def _joined(classes: np.ndarray, things: np.ndarray) -> Int64[np.ndarray, " q"]:
    return classes.astype(np.int64) << 32 | things.astype(np.int64) & 0xFFFFFFFF


def _most_voted(options: list[np.ndarray], weights: list[np.ndarray]) -> Int64[np.ndarray, " q"]:
    """In each row. The first option gives way to what weighs more; the others are mostly of one mind and need no votes."""
    winner, has_vote, is_split = options[0].copy(), *np.zeros((2, len(options[0])), np.bool_)
    for option, weight in zip(options[1:], weights[1:], strict=True):
        counts = weight > 0
        is_split |= counts & np.where(has_vote, option != winner, weight <= weights[0])
        winner = np.where(counts & ~has_vote, option, winner)
        has_vote |= counts
    rows = np.flatnonzero(is_split)
    candidates = np.stack(options)[:, rows]
    votes = [(np.stack(weights)[:, rows] * (candidates == one)).sum(axis=0) for one in candidates]
    winner[rows] = np.take_along_axis(candidates, np.argmax(votes, axis=0)[None], axis=0)[0]
    return winner


def _triangles(vertices: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Each quad along its shorter diagonal: the first halves, then the second ones."""
    a, b, c, d = (vertices.take(quads[:, k], axis=0) for k in range(4))
    is_first = lengths(a - c) <= lengths(b - d)
    turned = np.where(is_first[:, None], quads, np.roll(quads, -1, axis=1))
    return np.concatenate((turned[:, [0, 1, 2]], turned[:, [0, 2, 3]]))


def _split_pinches(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A vertex at which several fans of faces only touch becomes one vertex a fan, so that every edge has two faces."""
    edge, face, corners = _face_edges(faces)
    one, other = _pairs(vertices, faces, edge, face)
    corner = np.arange(faces.size)
    # at each end of their common edge the corners of two faces are one vertex
    links = [(corners[one, end], corners[other, end]) for end in (0, 1)]
    rows, columns = (np.concatenate([link[side] for link in links]) for side in (0, 1))
    graph = coo_matrix((np.ones(len(rows), np.bool_), (rows, columns)), shape=(faces.size, faces.size))
    num_fans, fan = connected_components(graph, connection="weak")
    representative = np.empty(num_fans, np.int64)
    representative[fan[::-1]] = corner[::-1]  # the first of each: what is written last stays
    return vertices[faces.ravel()[representative]], fan.astype(np.int64).reshape(faces.shape)


def _face_edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three edges of every face: sorted ends, the face, and the corners of the face at these ends."""
    corner = np.arange(faces.size).reshape(faces.shape)
    one, other = faces.T.ravel(), faces[:, [1, 2, 0]].T.ravel()
    at_one, at_other = corner.T.ravel(), corner[:, [1, 2, 0]].T.ravel()
    is_sorted = one < other
    corners = np.stack((np.where(is_sorted, at_one, at_other), np.where(is_sorted, at_other, at_one)), axis=1)
    edge = np.stack((np.minimum(one, other), np.maximum(one, other)), axis=1)
    return edge, np.tile(np.arange(len(faces)), 3), corners


def _pairs(
    vertices: np.ndarray, faces: np.ndarray, edge: np.ndarray, face: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pair the occurrences of each edge that belong to the same sheet of surface.

    Where two sheets touch along an edge its four faces pair up in the order of their angle, so that sheets do not cross.
    """
    key = edge[:, 0] * (len(vertices) + 1) + edge[:, 1]
    order = np.argsort(key, kind="stable")
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = key[order[1:]] != key[order[:-1]]
    group = np.cumsum(is_new) - 1
    count, first = np.bincount(group), np.flatnonzero(is_new)
    is_shared = (count > 2)[group]  # the order of two does not matter, and few edges have more
    touching = order[is_shared]
    angle = _angles(vertices, edge[touching], faces[face[touching]])
    order[is_shared] = touching[np.lexsort((angle, group[is_shared]))]
    rank = np.arange(len(order)) - first[group]
    is_even = count[group] % 2 == 0
    leads = np.flatnonzero(is_even & (rank % 2 == 0))
    return order[leads], order[leads + 1]


def _angles(vertices: np.ndarray, edge: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Angle of each face around its edge, from a direction that all faces of the edge share."""
    middle = (vertices[edge[:, 0]] + vertices[edge[:, 1]]) / 2
    along = vertices[edge[:, 1]] - vertices[edge[:, 0]]
    third = vertices[faces.sum(axis=1) - edge.sum(axis=1)] - middle
    across = np.cross(along, np.eye(3)[np.abs(along).argmin(axis=1)])
    return np.arctan2(
        dots(third, np.cross(along, across)) / np.maximum(lengths(along), 1e-12),
        dots(third, across),
    )
