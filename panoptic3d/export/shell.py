"""The shell around all surface, seen from free space, with its vertices put back onto the surface.

A quad stands for a grid edge from free space into the shell; its corners are vertices of the four cells around the edge. A
cell has a vertex for each group of free corners that hang together, so that the two sides of a thin plate stay apart. So the
shell of a region is closed wherever the region ends at a surface, whatever the noise.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int64
from scipy.sparse import coo_matrix, csr_matrix

from panoptic3d.export.free_space import SHELL_VOX, FreeSpace
from panoptic3d.export.numbering import numbered
from panoptic3d.export.planes import Planes, planes_at
from panoptic3d.export.rows import directions, dots, lengths, of_corners

_NEIGHBOUR_SHARE = 0.5  # of the planes of neighbouring vertices: so that a vertex finds the crease beside its cell
_PULL = 0.1  # towards the foot of its cell, small against planes, enough where they leave a direction open
_FARTHEST_VOX = 1.5  # from that foot


@dataclass(frozen=True, eq=False)
class Shell:
    vertices: Float[np.ndarray, "v 3"]  # grid index
    normals: Float[np.ndarray, "v 3"]  # into free space
    quads: Int64[np.ndarray, "q 4"]  # anticlockwise seen from free space
    free_end: Int64[np.ndarray, " q"]  # flat address of the end of its edge in free space,
    shell_end: Int64[np.ndarray, " q"]  # and of the one in the shell

    def chosen(self, mask: np.ndarray) -> "Shell":
        return Shell(self.vertices, self.normals, self.quads[mask], self.free_end[mask], self.shell_end[mask])

    @property
    def centres(self) -> Float[np.ndarray, "q 3"]:
        return of_corners(self.vertices, self.quads) / 4


@dataclass(frozen=True, eq=False)
class _Groups:
    """Groups of free corners, each with a vertex."""

    cell: Int64[np.ndarray, " v"]  # flat address of the lowest corner
    has_corner: np.ndarray  # (v, 8): which corners of the cell are in the group


def make_shell(space: FreeSpace) -> Shell | None:
    """The surface between free space and a shell around it. None if no grid edge crosses it."""
    free_end, shell_end, axis, is_up = _edges(space)
    if not len(free_end):
        return None
    groups, quads = _quads(space, free_end, np.minimum(free_end, shell_end), axis, is_up)
    offsets = _corner_offsets(space)
    points, _ = numbered((groups.cell[:, None] + offsets)[groups.has_corner], len(space.field))
    planes = planes_at(space, points)
    crossing = _crossings(space, free_end, shell_end)
    vertices, normals = _vertices(space, groups, quads, planes, crossing)
    return Shell(vertices, normals, quads, free_end, shell_end)


def _edges(space: FreeSpace) -> tuple[np.ndarray, ...]:
    """Grid edges from free space into the shell: the two ends, the axis, and whether free space is the upper end."""
    inner = np.flatnonzero(~space.is_free & space.is_known)
    parts = []
    for axis, stride in enumerate(space.strides):
        for is_up in (True, False):
            free = inner + stride if is_up else inner - stride
            is_edge = space.is_free[free]
            num = int(is_edge.sum())
            parts.append((free[is_edge], inner[is_edge], np.full(num, axis), np.full(num, is_up)))
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _quads(
    space: FreeSpace, free_end: np.ndarray, lower_end: np.ndarray, axis: np.ndarray, is_up: np.ndarray
) -> tuple[_Groups, Int64[np.ndarray, "q 4"]]:
    u, v = space.strides[(axis + 1) % 3], space.strides[(axis + 2) % 3]
    around = np.stack((lower_end, lower_end - u, lower_end - u - v, lower_end - v), axis=1)
    around = np.where(is_up[:, None], around, around[:, ::-1])
    cells, in_cell = numbered(around, len(space.field))
    offsets = _corner_offsets(space)
    is_free = space.is_free[cells[:, None] + offsets]
    lowest = _lowest_of_group()[(is_free << np.arange(8)).sum(axis=1)]
    corner = np.searchsorted(offsets, free_end[:, None] - around)
    keys, quads = numbered(in_cell * 8 + lowest[in_cell, corner], len(cells) * 8)
    has_corner = is_free[keys // 8] & (lowest[keys // 8] == (keys % 8)[:, None])
    return _Groups(cells[keys // 8], has_corner), quads


def _corner_offsets(space: FreeSpace) -> Int64[np.ndarray, "8"]:
    """Address offsets of the eight corners of a cell, ascending: bit 2 of a corner's number is x, bit 1 y, and bit 0 z."""
    return np.array([[c >> 2 & 1, c >> 1 & 1, c & 1] for c in range(8)]) @ space.strides


@lru_cache(maxsize=1)
def _lowest_of_group() -> Int64[np.ndarray, "256 8"]:
    """For each set of corners and each corner in it: the lowest corner that edges of the cell within the set lead to."""
    table = np.tile(np.arange(8), (256, 1))
    is_in = (np.arange(256)[:, None] >> np.arange(8) & 1).astype(np.bool_)
    for _ in range(8):
        for corner in range(8):
            for other in (corner ^ 1, corner ^ 2, corner ^ 4):
                linked = is_in[:, corner] & is_in[:, other]
                table[linked, corner] = np.minimum(table[linked, corner], table[linked, other])
    return table


def _crossings(space: FreeSpace, free_end: np.ndarray, shell_end: np.ndarray) -> Float[np.ndarray, "q 3"]:
    """Where each edge enters the shell."""
    far, near = space.field[free_end], space.field[shell_end]
    share = np.clip((far - SHELL_VOX) / np.maximum(far - near, 1e-6), 0, 1)[:, None]
    return space.index_of(free_end) * (1 - share) + space.index_of(shell_end) * share


def _vertices(
    space: FreeSpace, groups: _Groups, quads: np.ndarray, planes: Planes, crossing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the planes that the group and its neighbours see meet best, near the foot of the group on the surface."""
    num = len(groups.cell)
    total = np.bincount(quads.ravel(), minlength=num)[:, None]
    mean = np.stack([np.bincount(quads.ravel(), crossing[:, k].repeat(4), num) for k in range(3)], axis=1) / total
    normal, squared, moment = np.split(_sums_of_corners(space, groups, planes), (3, 9), axis=1)
    normal = directions(normal)
    foot = mean - SHELL_VOX * normal
    squared, moment = np.split(_with_neighbours(quads, np.concatenate((squared, moment), axis=1)), (6,), axis=1)
    shift = _nearest_meeting(squared, moment, foot)
    shift *= np.minimum(1, _FARTHEST_VOX / np.maximum(lengths(shift), 1e-9))[:, None]
    return foot + shift, normal


def _sums_of_corners(space: FreeSpace, groups: _Groups, planes: Planes) -> Float[np.ndarray, "v 12"]:
    """What the planes of the free corners of each group say of its vertex, summed: normal, the six different entries of its
    square, and moment. A point is a corner of up to eight cells and is worked out once.
    """
    direction = planes.normal
    trusted = planes.trust[:, None] * direction
    height = dots(space.index_of(planes.point), direction) - planes.distance  # of the plane over the origin
    squared = trusted[:, [0, 0, 0, 1, 1, 2]] * direction[:, [0, 1, 2, 1, 2, 2]]
    said = np.concatenate((trusted, squared, height[:, None] * trusted), axis=1)
    corner = planes.number[(groups.cell[:, None] + _corner_offsets(space))[groups.has_corner]]
    start = np.concatenate(([0], np.cumsum(groups.has_corner.sum(axis=1))))
    return csr_matrix((np.ones(len(corner)), corner, start), shape=(len(groups.cell), len(said))) @ said


def _nearest_meeting(
    squared: Float[np.ndarray, "v 6"], moment: Float[np.ndarray, "v 3"], foot: Float[np.ndarray, "v 3"]
) -> Float[np.ndarray, "v 3"]:
    """The way from the foot of each vertex to where its planes meet best: three symmetric equations, by cofactors."""
    xx, xy, xz, yy, yz, zz = np.ascontiguousarray(squared.T)
    x, y, z = np.ascontiguousarray(foot.T)
    a, b, c = moment.T - np.stack((xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z))
    xx, yy, zz = xx + _PULL, yy + _PULL, zz + _PULL
    of_xx, of_xy, of_xz = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    of_yy, of_yz, of_zz = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    way = (of_xx * a + of_xy * b + of_xz * c, of_xy * a + of_yy * b + of_yz * c, of_xz * a + of_yz * b + of_zz * c)
    return np.stack(way, axis=1) / (xx * of_xx + xy * of_xy + xz * of_xz)[:, None]


def _with_neighbours(quads: np.ndarray, values: np.ndarray) -> np.ndarray:
    ends = np.concatenate([quads[:, [k, (k + 1) % 4]] for k in range(4)])
    rows, columns = np.concatenate((ends, ends[:, ::-1])).T
    link = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(values),) * 2).tocsr()
    link.data[:] = _NEIGHBOUR_SHARE
    return values + link @ values
