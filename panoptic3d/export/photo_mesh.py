"""The surface that a photo shows, as a mesh of its pixels: docs/adr/0012-looks.md.

Pixels are areas that tile the photo. A corner where four of them meet has a vertex for each group that hangs together; where
depth jumps, groups are parted, and both lie on the same ray: so from the photo's camera there is no gap, wherever the mesh is
cut.
Square blocks of pixels of one segment that are flat become one fan of triangles.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from panoptic3d.export.photo_depth import joined
from panoptic3d.structures.camera import Camera

_UNDER_PX = 0.2
_BLOCKS = (16, 8, 4, 2)
_FLAT_M = 0.007  # how far from its plane a pixel of a block may be; farther away than 2 m in proportion


@dataclass(frozen=True, eq=False)
class PhotoMesh:
    """Camera frame, metres. Faces turn towards the camera; those of one segment follow each other."""

    vertices_m: Float[np.ndarray, "v 3"]
    faces: Int64[np.ndarray, "f 3"]
    face_segment: Int64[np.ndarray, " f"]


def photo_mesh(depth_m: Float[np.ndarray, "h w"], segment: Int64[np.ndarray, "h w"], camera: Camera) -> PhotoMesh:
    """Pixels without a segment (below 0) or without a finite depth are left open."""
    is_solid = np.isfinite(depth_m) & (segment >= 0)
    near = np.where(is_solid, 1 / np.where(is_solid, depth_m, 1.0), np.nan)
    across, down = joined(near, axis=1), joined(near, axis=0)
    corner_of, corner_near, place = _corners(near, across, down)
    blocks = _blocks(near, segment, across, down, is_solid)
    faces, face_pixel, centres = _faces(corner_of, blocks, len(place))
    inner = _centre_nearness(corner_of, corner_near, blocks)
    place, nearness = np.concatenate((place, centres)), np.concatenate((corner_near, inner))
    depth = 1 / nearness
    x = (place[:, 0] - 0.5 - camera.cx_px) / camera.fx_px * depth
    y = (place[:, 1] - 0.5 - camera.cy_px) / camera.fy_px * depth
    return PhotoMesh(np.stack((x, y, depth), axis=1), faces, segment.ravel()[face_pixel])


def _corners(
    near: np.ndarray, across: np.ndarray, down: np.ndarray
) -> tuple[Int64[np.ndarray, "h w 4"], Float[np.ndarray, " c"], Float[np.ndarray, "c 2"]]:
    """The vertex at each of the four corners of every pixel (around it, from the upper left), and the vertices' nearness and
    place (in corners from the upper left of the picture).
    """
    height, width = near.shape
    key = np.empty((height, width, 4), np.int64)
    value = np.empty((height, width, 4))
    slope_x, slope_y = _slope(near, across, 1), _slope(near, down, 0)
    # around a corner: pixels 0 1 / 2 3; the links above, to the left, to the right and below it
    links = np.zeros((height + 1, width + 1, 4), np.bool_)
    links[1:, 1:-1, 0], links[1:-1, 1:, 1] = across, down
    links[1:-1, :-1, 2], links[:-1, 1:-1, 3] = down, across
    lowest = _LOWEST[(links << np.arange(4)).sum(axis=2)]
    for number, (row, column, member) in enumerate(((0, 0, 3), (0, 1, 2), (1, 1, 0), (1, 0, 1))):
        at = lowest[row : row + height, column : column + width, member]
        rows, columns = np.arange(row, row + height)[:, None], np.arange(column, column + width)
        key[..., number] = (rows * (width + 1) + columns) * 4 + at
        value[..., number] = near + slope_x * (column - 0.5) + slope_y * (row - 0.5)
    is_solid = np.isfinite(near)
    used, number = np.unique(key[is_solid], return_inverse=True)
    corner_of = np.full((height, width, 4), -1, np.int64)
    corner_of[is_solid] = number.reshape(-1, 4)
    weight = np.bincount(number.ravel(), minlength=len(used))
    mean = np.bincount(number.ravel(), value[is_solid].ravel(), len(used)) / np.maximum(weight, 1)
    point = used // 4
    place = np.stack((point % (width + 1), point // (width + 1)), axis=1).astype(np.float64)
    return corner_of, mean, place + _under(number, weight, point, mean)


def _under(number: np.ndarray, weight: np.ndarray, point: np.ndarray, near: np.ndarray) -> Float[np.ndarray, "c 2"]:
    """Where groups are parted, the one behind reaches a little under the one in front: edges that merely touch would let
    light through wherever numbers are rounded.
    """
    foremost = np.zeros(int(point.max(initial=0)) + 1)
    np.maximum.at(foremost, point, near)
    is_behind = near < foremost[point] * (1 - 1e-9)
    outward = np.array([[0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]])  # from the corner to the pixel, by corner
    inward = outward[np.tile(np.arange(4), len(number.ravel()) // 4)]
    sums = [np.bincount(number.ravel(), inward[:, k], len(near)) / np.maximum(weight, 1) for k in (0, 1)]
    return np.where(is_behind[:, None], -_UNDER_PX * 2 * np.stack(sums, axis=1), 0.0)


def _slope(near: np.ndarray, joined: np.ndarray, axis: int) -> Float[np.ndarray, "h w"]:
    """The smaller of the steps to the joined neighbours, 0 where they disagree."""
    moved, link = np.moveaxis(near, axis, 0), np.moveaxis(joined, axis, 0)
    step = np.where(link, np.diff(moved, axis=0), np.nan)
    open_end = np.full((1, moved.shape[1]), np.nan)
    before, after = np.concatenate((open_end, step)), np.concatenate((step, open_end))
    before, after = np.where(np.isnan(before), after, before), np.where(np.isnan(after), before, after)
    smaller = np.where(np.abs(before) < np.abs(after), before, after)
    return np.moveaxis(np.nan_to_num(np.where(before * after > 0, smaller, 0.0)), 0, axis)


def _lowest_members() -> Int64[np.ndarray, "16 4"]:
    """For each set of links around a corner (above 0-1, left 0-2, right 1-3, below 2-3): the lowest pixel joined to each."""
    table = np.tile(np.arange(4), (16, 1))
    for links in range(16):
        for _ in range(3):
            for bit, (one, other) in enumerate(((0, 1), (0, 2), (1, 3), (2, 3))):
                if links >> bit & 1:
                    table[links, [one, other]] = table[links, [one, other]].min()
    return table


_LOWEST = _lowest_members()


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Squares of pixels of one size, by their upper left pixel."""

    size: int
    row: Int64[np.ndarray, " n"]
    column: Int64[np.ndarray, " n"]


def _blocks(
    near: np.ndarray, segment: np.ndarray, across: np.ndarray, down: np.ndarray, is_solid: np.ndarray
) -> list[_Blocks]:
    """Larger ones first; single pixels last."""
    is_free = is_solid.copy()
    found = []
    for size in _BLOCKS:
        height, width = (near.shape[0] // size) * size, (near.shape[1] // size) * size
        if not height or not width:
            continue
        is_whole = _tiles(is_free, size, height, width).all(axis=(1, 3))
        labels = _tiles(segment, size, height, width)
        is_whole &= (labels == labels[:, :1, :, :1]).all(axis=(1, 3))
        inner = np.ones(near.shape, np.bool_)
        inner[:, :-1] &= across | (np.arange(near.shape[1] - 1) % size == size - 1)
        inner[:-1] &= down | (np.arange(near.shape[0] - 1) % size == size - 1)[:, None]
        is_whole &= _tiles(inner, size, height, width).all(axis=(1, 3))
        is_whole &= _is_flat(_tiles(near, size, height, width), size)
        row, column = np.nonzero(is_whole)
        is_free[:height, :width] &= ~np.repeat(np.repeat(is_whole, size, 0), size, 1)
        found.append(_Blocks(size, row * size, column * size))
    row, column = np.nonzero(is_free)
    return [*found, _Blocks(1, row, column)]


def _tiles(values: np.ndarray, size: int, height: int, width: int) -> np.ndarray:
    return values[:height, :width].reshape(height // size, size, width // size, size)


def _is_flat(near: Float[np.ndarray, "a s b s"], size: int) -> Bool[np.ndarray, "a b"]:
    """Against the plane of least squares through the block."""
    place = np.arange(size) - (size - 1) / 2
    spread = (place**2).sum() * size
    with np.errstate(invalid="ignore"):
        mean = near.mean(axis=(1, 3))
        right = np.einsum("aibj,j->ab", near, place) / spread
        lower = np.einsum("aibj,i->ab", near, place) / spread
        plane = (
            mean[:, None, :, None] + right[:, None, :, None] * place + lower[:, None, :, None] * place[:, None, None]
        )
        error = np.abs(near - plane).max(axis=(1, 3)) / np.maximum(mean, 1e-6) ** 2
        return error < _FLAT_M * np.maximum(1, 0.5 / np.maximum(mean, 1e-6))


def _perimeter(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and corner of the pixels at the rim of a block whose corners go around it, anticlockwise in the picture.

    In the picture y points down and depth away: seen from the camera that is the way of faces that look at it.
    """
    up, last = np.arange(size), size - 1
    left = [(i, 0, 0) for i in up]
    bottom = [(last, j, 3) for j in up]
    right = [(i, last, 2) for i in up[::-1]]
    top = [(0, j, 1) for j in up[::-1]]
    row, column, corner = np.array(left + bottom + right + top).T
    return row, column, corner


def _faces(
    corner_of: np.ndarray, blocks: list[_Blocks], num_corners: int
) -> tuple[Int64[np.ndarray, "f 3"], Int64[np.ndarray, " f"], Float[np.ndarray, "b 2"]]:
    """Faces, the flat pixel of each, and where the centres lie that larger blocks add behind the corners."""
    width = corner_of.shape[1]
    is_used = np.zeros(num_corners, np.bool_)
    for block in blocks:
        last = block.size - 1
        for i, j, corner in ((0, 0, 0), (0, last, 1), (last, last, 2), (last, 0, 3)):
            is_used[corner_of[block.row + i, block.column + j, corner]] = True
    faces, pixels, centres = [], [], []
    start = num_corners
    for block in blocks:
        pixel = block.row * width + block.column
        if block.size == 1:
            a, b, c, d = corner_of[block.row, block.column].T
            faces += [np.stack((a, d, c), axis=1), np.stack((a, c, b), axis=1)]
            pixels += [pixel, pixel]
            continue
        rows, columns, corners = _perimeter(block.size)
        rim = corner_of[block.row[:, None] + rows, block.column[:, None] + columns, corners]
        following = _next_used(rim, is_used[rim])
        which, at = np.nonzero(is_used[rim])
        faces.append(np.stack((start + which, rim[which, at], following[which, at]), axis=1))
        pixels.append(pixel[which])
        centres.append(np.stack((block.column, block.row), axis=1) + block.size / 2)
        start += len(block.row)
    none = np.zeros((0, 3), np.int64)
    return (
        np.concatenate([none, *faces]),
        np.concatenate([none[:, 0], *pixels]),
        np.concatenate([np.zeros((0, 2)), *centres]),
    )


def _next_used(rim: Int64[np.ndarray, "n p"], is_used: Bool[np.ndarray, "n p"]) -> Int64[np.ndarray, "n p"]:
    """For each place of the rim the next vertex that is used, around the block."""
    following = np.empty_like(rim)
    coming = np.full(len(rim), -1)
    for at in [*range(rim.shape[1] - 1, -1, -1)] * 2:
        following[:, at] = coming
        coming = np.where(is_used[:, at], rim[:, at], coming)
    return following


def _centre_nearness(corner_of: np.ndarray, near: np.ndarray, blocks: list[_Blocks]) -> Float[np.ndarray, " b"]:
    """That of the corner that lies in the middle of each larger block."""
    middles = [
        near[corner_of[block.row + block.size // 2, block.column + block.size // 2, 0]]
        for block in blocks
        if block.size > 1
    ]
    return np.concatenate([np.zeros(0), *middles])
