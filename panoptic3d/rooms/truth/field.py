"""The distance from every voxel of a frustum to the nearest triangle, and whose triangle that is.

Three passes write into one list of minima, a slot a voxel of the frustum, twice: for things and for stuff.

1. Large polygons (walls, table tops): the columns of voxels above and below each, out to 8 voxels. Exact.
2. All others, cut to pieces whose boxes are small or slender: every voxel within 3.5 voxels, of which only those are
   computed for which the piece can be the nearest: upper and lower bounds come cheaply from boxes. Exact below 3.5 voxels.
3. From there to 8 voxels: surface points of the pieces, the nearest found for every fourth voxel and handed to the voxels
   around, whose distance to that point's triangle is computed. An upper bound, seldom off (docs/rooms-generate.md).

A minimum is a pair (squared distance, triangle) in 64 bits, so that of two at the same distance the lower number wins.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int16, Int32
from scipy.ndimage import maximum_filter
from scipy.spatial import KDTree
from torch import Tensor

from panoptic3d.geometry.frustum import bounding_box, frustum_mask
from panoptic3d.rooms.truth.polygons import (
    FlatPolygons,
    flatten,
    pair_distances,
    split,
    squared_distance,
    surface_points,
)
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid

T = TypeVar("T")

REACH_VOX = 8.0  # the release stores distances up to here
EXACT_VOX = 3.5
THING_MARGIN_VOX = 0.2  # 6 mm: how far behind a thing's back the wall that it hangs on may be
_LARGE_AREA_VOX2 = 150.0
_MAX_WIDTH_VOX, _MAX_LENGTH_VOX = 5.0, 30.0  # of a piece's box: its second and its longest side
_NODE_STRIDE = 4
_POINT_SPACING_VOX = 2.0
_MARGIN = 52  # voxels: more than the reach, a piece and the exact distance together
_CHUNK = 1 << 16
_BATCH = 24  # chunks whose bounds are drawn before their distances
_NOTHING, _NUMBER = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, eq=False)
class FrustumSlots:
    """The voxels of a frustum in C order, and back."""

    mask: Bool[Tensor, "x y z"]
    coords: Int16[np.ndarray, "n 3"]
    linear: Int32[np.ndarray, " n"]  # in the grid
    low: tuple[int, int, int]  # of `slot`, which has a margin in which the box of any near piece lies
    slot: Int32[np.ndarray, "bx by bz"]  # -1 outside of the frustum
    columns: tuple[np.ndarray, np.ndarray, np.ndarray]  # of `slot`: which columns along each axis meet the frustum
    node: Int32[np.ndarray, " n"]  # the first of the eight nodes around each voxel
    node_shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.coords)


@lru_cache(maxsize=2)
def frustum_slots(camera: Camera, grid: VoxelGrid) -> FrustumSlots:
    size = (camera.width, camera.height)
    mask = frustum_mask(camera.intrinsics, size, grid.shape, grid.voxel_size_m, grid.camera_index)
    low, high = bounding_box(mask)
    inner = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].numpy()
    slot = np.full(inner.shape, -1, np.int32)
    slot[inner] = np.arange(int(inner.sum()), dtype=np.int32)
    slot = np.pad(slot, _MARGIN, constant_values=-1)
    is_used = slot >= 0
    coords = np.asfortranarray(mask.nonzero().numpy().astype(np.int16))  # Fortran order: whole columns are read
    across, down, along = (np.asarray(is_used.any(axis=axis)) for axis in range(3))
    columns = (across, down, along)
    start = (low[0] - _MARGIN, low[1] - _MARGIN, low[2] - _MARGIN)
    size_x, size_y, size_z = (size // _NODE_STRIDE + 2 for size in slot.shape)
    cell = (coords.astype(np.int32) - np.array(start, np.int32)) // _NODE_STRIDE
    node = (cell[:, 0] * size_y + cell[:, 1]) * size_z + cell[:, 2]
    linear = np.flatnonzero(mask.numpy()).astype(np.int32)
    return FrustumSlots(mask, coords, linear, start, slot, columns, node, (size_x, size_y, size_z))


@dataclass(frozen=True, eq=False)
class NearestSurface:
    """For each voxel of the frustum. Where nothing is within 8 voxels the distance is infinite and the number -1."""

    distance_vox: Float32[np.ndarray, " n"]
    triangle: Int32[np.ndarray, " n"]


def nearest_surface(
    corners_vox: Float64[np.ndarray, "q 4 3"],
    number: Int32[np.ndarray, " q"],
    is_thing: Bool[np.ndarray, " t"],
    slots: FrustumSlots,
    thing_margin_vox: float = THING_MARGIN_VOX,
) -> NearestSurface:
    """Polygons with corners in grid indices; `number` is the triangle that each stands for. A thing owns a voxel unless
    stuff is nearer by more than the margin: what lies flat on the floor or hangs on a wall has its back there.
    """
    minima = _Minima(slots, is_thing)
    near = _near_frustum(corners_vox, slots)
    corners, number = corners_vox[near], number[near]
    sides = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    is_large = np.linalg.norm(sides, axis=1) / 2 > _LARGE_AREA_VOX2
    large = flatten(corners[is_large], number[is_large])
    for polygon in range(len(large)):
        _add_large(large, polygon, minima)
    pieces = split(corners[~is_large], number[~is_large], _MAX_WIDTH_VOX, _MAX_LENGTH_VOX)
    kept = _near_frustum(pieces[0], slots)
    small = flatten(pieces[0][kept], pieces[1][kept])
    if len(small):
        _add_small(small, minima)
        _add_far(small, minima)
    return minima.result(thing_margin_vox)


class _Minima:
    """The least (squared distance, triangle) that each voxel was offered, for things and for stuff apart."""

    def __init__(self, slots: FrustumSlots, is_thing: np.ndarray) -> None:
        self.slots = slots
        self.offset = np.where(is_thing, 0, len(slots)).astype(np.int64)
        self.keys = np.full(2 * len(slots), _NOTHING)

    def offer(self, slot: np.ndarray, number: np.ndarray | int, squared: np.ndarray) -> None:
        """Squares of float32 keep their order as bit patterns."""
        key = squared.astype(np.float32).view(np.uint32).astype(np.uint64)
        key <<= np.uint64(32)
        key |= np.asarray(number).astype(np.uint64)
        np.minimum.at(self.keys, slot + self.offset[number], key)

    def squared(self, slot: np.ndarray) -> np.ndarray:
        """The least so far of some voxels, of either kind."""
        keys = np.minimum(self.keys[slot], self.keys[slot + len(self.slots)])
        return np.where(
            keys == _NOTHING, np.float32(np.inf), (keys >> np.uint64(32)).astype(np.uint32).view(np.float32)
        )

    def result(self, thing_margin_vox: float) -> NearestSurface:
        things, stuff = self.keys.reshape(2, -1)
        found = np.flatnonzero(np.minimum(things, stuff) != _NOTHING)
        things, stuff = things[found], stuff[found]
        of_thing, of_stuff = _distance(things), _distance(stuff)
        owner = np.where(of_thing <= of_stuff + np.float32(thing_margin_vox), things, stuff)
        nearest = np.minimum(of_thing, of_stuff)
        is_near = nearest <= REACH_VOX
        distance = np.full(len(self.slots), np.float32(np.inf))
        triangle = np.full(len(self.slots), -1, np.int32)
        distance[found[is_near]] = nearest[is_near]
        triangle[found[is_near]] = (owner[is_near] & _NUMBER).astype(np.int32)
        return NearestSurface(distance, triangle)


def _distance(keys: np.ndarray) -> np.ndarray:
    squared = (keys >> np.uint64(32)).astype(np.uint32).view(np.float32)
    return np.sqrt(np.where(keys == _NOTHING, np.float32(np.inf), squared))


def _near_frustum(corners: np.ndarray, slots: FrustumSlots) -> np.ndarray:
    """Numbers of the triangles that can be within reach of a voxel of the frustum: none lies wholly beyond one of the sides
    of its box or of the pyramid (both moved out by the reach).
    """
    low = np.array(slots.low) + _MARGIN - REACH_VOX
    high = np.array(slots.low) + np.array(slots.slot.shape) - 1 - _MARGIN + REACH_VOX
    is_near = ((corners.max(axis=1) >= low) & (corners.min(axis=1) <= high)).all(axis=1)
    for plane in _side_planes(slots):
        is_near &= (corners @ plane[:3] + plane[3]).max(axis=1) >= -REACH_VOX - 0.1
    return np.flatnonzero(is_near)


@lru_cache(maxsize=2)
def _side_planes(slots: FrustumSlots) -> tuple[np.ndarray, ...]:
    """The four sides of the pyramid as (unit normal inwards, offset), through the outermost voxels of two depths."""
    k_low, k_high = slots.low[2] + _MARGIN + 1, slots.low[2] + slots.slot.shape[2] - _MARGIN - 2
    planes = []
    for axis in (0, 1):
        along = slots.mask.any(dim=1 - axis).numpy()  # [axis, k]
        for sign in (1, -1):
            edge = []
            for k in (k_low, k_high):
                inside = np.flatnonzero(along[:, k])
                edge.append((inside[0] - 1.0 if sign > 0 else inside[-1] + 1.0, float(k)))
            (a0, k0), (a1, k1) = edge
            normal = np.zeros(4)
            normal[axis], normal[2] = sign * (k1 - k0), -sign * (a1 - a0)
            normal[:3] /= np.linalg.norm(normal[:3])
            normal[3] = -(normal[axis] * a0 + normal[2] * k0) + 1.0
            planes.append(normal)
    return tuple(planes)


def _add_large(large: FlatPolygons, polygon: int, minima: _Minima) -> None:
    """All voxels within reach, column by column along the axis that the polygon faces most."""
    slots, number = minima.slots, int(large.number[polygon])
    corners = large.corners[polygon].astype(np.float64)
    frame = large.frame[:, polygon].reshape(3, 3).astype(np.float64)
    normal = frame[2]
    axis = int(np.abs(normal).argmax())
    first, second = (a for a in range(3) if a != axis)
    low, shape = np.array(slots.low), np.array(slots.slot.shape)
    start = np.maximum(np.ceil(corners.min(axis=0) - REACH_VOX), low).astype(int)
    stop = np.minimum(np.floor(corners.max(axis=0) + REACH_VOX), low + shape - 1).astype(int) + 1
    if (stop <= start).any():
        return
    u, v = np.arange(start[first], stop[first]), np.arange(start[second], stop[second])
    is_used = slots.columns[axis][start[first] - low[first] : stop[first] - low[first]]
    is_used = is_used[:, start[second] - low[second] : stop[second] - low[second]]
    is_used = is_used & _near_projection(corners[:, [first, second]], u, v, REACH_VOX)
    rows, cols = np.nonzero(is_used)
    if len(rows) == 0:
        return
    column = np.zeros((len(rows), 3))
    column[:, first], column[:, second] = u[rows] - corners[0, first], v[cols] - corners[0, second]
    surface = corners[0, axis] - column @ normal / normal[axis]
    half = REACH_VOX / abs(normal[axis])
    lowest = np.ceil(surface - half)
    column[:, axis] = lowest - corners[0, axis]
    base = (column @ frame.T).astype(np.float32)
    steps = np.arange(int(2 * half) + 1)
    x, y, height = (base[:, n, None] + (steps * frame[n, axis]).astype(np.float32) for n in range(3))
    squared = squared_distance(x, y, height, float(large.width[polygon]), list(large.edges[:, :, polygon]))
    level = lowest.astype(np.int64)[:, None] + steps
    is_kept = (squared <= REACH_VOX**2) & (level >= start[axis]) & (level < stop[axis])
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    linear = (u[rows] - low[first]) * strides[first] + (v[cols] - low[second]) * strides[second]
    slot = slots.slot.reshape(-1)[(linear[:, None] + (level - low[axis]) * strides[axis])[is_kept]]
    squared = squared[is_kept]
    is_inside = slot >= 0
    minima.offer(slot[is_inside], number, squared[is_inside])


def _near_projection(corners: np.ndarray, u: np.ndarray, v: np.ndarray, reach: float) -> np.ndarray:
    """Which points of a plane grid lie within `reach` of each edge line's inner side."""
    is_near = np.ones((len(u), len(v)), np.bool_)
    area = np.linalg.det(np.stack([corners[2] - corners[0], corners[3] - corners[1]]))
    for n in range(4):
        start, edge = corners[n], corners[(n + 1) % 4] - corners[n]
        length = np.linalg.norm(edge)
        if length == 0 or area == 0:
            continue
        inward = np.array([-edge[1], edge[0]]) * np.sign(area) / length
        is_near &= ((u - start[0]) * inward[0])[:, None] + ((v - start[1]) * inward[1])[None, :] >= -reach
    return is_near


def _add_small(small: FlatPolygons, minima: _Minima) -> None:
    """Exact wherever the distance is below `EXACT_VOX`: bounds first, then distances where the bounds leave a choice."""
    bound = np.full(len(minima.slots) + 1, np.float32((EXACT_VOX + 0.01) ** 2))
    bound[-1] = -1  # stands for all that is outside
    for batch in batched(_blocks(small), _BATCH):
        pairs = [_Pairs(small, triangles, dims, minima.slots) for triangles, dims in batch]
        for part in pairs:
            most = part.most()
            is_less = most < bound.take(part.slot, mode="wrap")
            np.minimum.at(bound, part.slot[is_less], most[is_less])
        for part in pairs:
            local, flat = part.that_can_win(bound)
            which = part.triangles[local]
            squared = pair_distances(small, which, part.points(local, flat))
            minima.offer(part.slot[local, flat], small.number[which], squared)


def _blocks(small: FlatPolygons) -> Iterator[tuple[np.ndarray, tuple[int, int, int]]]:
    """Triangles whose dilated boxes have one size, a few at a time."""
    low, high = small.corners.min(axis=1), small.corners.max(axis=1)
    dims = (np.floor(high + EXACT_VOX) - np.ceil(low - EXACT_VOX) + 1).astype(np.int64)
    dims = np.where(dims <= 12, dims + dims % 2, -(-dims // 6) * 6)  # fewer, fuller groups
    code = (dims[:, 0] * 256 + dims[:, 1]) * 256 + dims[:, 2]
    order = np.argsort(code, kind="stable")
    ends = np.flatnonzero(np.r_[code[order][1:] != code[order][:-1], True]) + 1
    start = 0
    for end in ends:
        group = order[start:end]
        size = dims[group[0]]
        step = max(1, _CHUNK // int(size.prod()))
        for first in range(0, len(group), step):
            yield group[first : first + step], (int(size[0]), int(size[1]), int(size[2]))
        start = end


class _Pairs:
    """The voxels of the boxes around some triangles: [triangle, voxel of the box]. All bounds are squared."""

    def __init__(
        self, small: FlatPolygons, triangles: np.ndarray, dims: tuple[int, int, int], slots: FrustumSlots
    ) -> None:
        corners = small.corners[triangles]
        self.triangles, self.dims = triangles, dims
        self._corners, self._normal = corners, small.normals[triangles]
        self._low, self._high = corners.min(axis=1), corners.max(axis=1)
        self._start = np.ceil(self._low - EXACT_VOX).astype(np.int32)
        self._steps = [(self._start[:, n, None] + np.arange(dims[n])).astype(np.float32) for n in range(3)]
        self._beyond = [
            np.square(np.maximum(np.maximum(self._low[:, n, None] - at, at - self._high[:, n, None]), 0))
            for n, at in enumerate(self._steps)
        ]
        self.least = _outer_sum(self._beyond)  # no triangle is nearer than its box
        _, size_y, size_z = slots.slot.shape
        i, j, k = (np.arange(dim, dtype=np.int32) for dim in dims)
        offset = ((i[:, None, None] * size_y + j[:, None]) * size_z + k).reshape(-1)
        first = self._start - np.array(slots.low, np.int32)
        linear = ((first[:, 0] * size_y + first[:, 1]) * size_z + first[:, 2])[:, None] + offset
        self.slot = slots.slot.reshape(-1).take(linear, mode="clip")

    def most(self) -> np.ndarray:
        """How far the triangle can be at most. A slender one has, at every place along the longest side of its box, a point
        somewhere across it; of the others the centroid is a point.
        """
        extent = self._high - self._low
        longest = extent.argmax(axis=1)
        is_slender = np.sort(extent, axis=1)[:, 1] < 1.5
        centre = self._corners.mean(axis=1)
        terms = []
        for n, at in enumerate(self._steps):
            across = np.square(np.maximum(np.abs(at - self._low[:, n, None]), np.abs(at - self._high[:, n, None])))
            slender = np.where((longest == n)[:, None], self._beyond[n], across)
            terms.append(np.where(is_slender[:, None], slender, np.square(at - centre[:, n, None])))
        return _outer_sum(terms)

    def that_can_win(self, bound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the triangle may be as near as the bound: by its box, then by its plane and the disc around it."""
        limit = bound.take(self.slot, mode="wrap") * np.float32(1.0001)
        kept = np.flatnonzero(self.least <= limit)
        local, flat = np.divmod(kept, self.least.shape[1])
        centre = self._corners.mean(axis=1)
        radius = np.sqrt(np.square(self._corners - centre[:, None]).sum(axis=2).max(axis=1))
        offset = self.points(local, flat) - centre[local]
        squared_height = np.square(np.einsum("nc,nc->n", offset, self._normal[local]))
        from_centre = np.einsum("nc,nc->n", offset, offset)
        across = np.sqrt(np.maximum(from_centre - squared_height, 0)) - radius[local]
        can_win = squared_height + np.square(np.maximum(across, 0)) <= limit.reshape(-1)[kept] + np.float32(1e-4)
        return local[can_win], flat[can_win]

    def points(self, local: np.ndarray, flat: np.ndarray) -> np.ndarray:
        row, k = np.divmod(flat, self.dims[2])
        i, j = np.divmod(row, self.dims[1])
        points = np.empty((len(flat), 3), np.float32)
        for n, step in enumerate((i, j, k)):
            points[:, n] = self._start[local, n] + step
        return points


def _outer_sum(terms: list[np.ndarray]) -> np.ndarray:
    """[triangle, voxel] sums of what each axis gives."""
    x, y, z = terms
    return ((x[:, :, None] + y[:, None, :])[:, :, :, None] + z[:, None, None, :]).reshape(len(x), -1)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of up to `size` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _add_far(small: FlatPolygons, minima: _Minima) -> None:
    """Between `EXACT_VOX` and `REACH_VOX`, by surface points."""
    slots, stride = minima.slots, _NODE_STRIDE
    points, owner = _thinned(*surface_points(small, _POINT_SPACING_VOX))
    low, shape = np.array(slots.low), np.array(slots.node_shape)
    cell = np.rint((points - low) / stride).astype(int)
    seeds = np.zeros(shape, np.bool_)
    seeds[tuple(cell[((cell >= 0) & (cell < shape)).all(axis=1)].T)] = True
    reach = int(np.ceil((REACH_VOX + stride) / stride))
    nodes = np.argwhere(maximum_filter(seeds, size=2 * reach + 1))
    distance, nearest = KDTree(points, leafsize=16).query(
        nodes * stride + low,
        distance_upper_bound=REACH_VOX + stride,
        workers=1,  # no voxel is farther from its nearest node
    )
    found = np.full(shape, -1, np.int32)
    is_found = np.isfinite(distance)
    found[tuple(nodes[is_found].T)] = np.asarray(nearest)[is_found]
    candidates = np.flatnonzero(_any_corner(found >= 0).reshape(-1).take(slots.node))
    squared = minima.squared(candidates)
    is_open = squared > EXACT_VOX**2
    candidates, squared = candidates[is_open], squared[is_open]
    for start in range(0, len(candidates), _CHUNK):
        part = slice(start, start + _CHUNK)
        _offer_nearby(small, points, owner, found, candidates[part], squared[part], minima)


def _any_corner(flags: np.ndarray) -> np.ndarray:
    """Whether any of the eight corners of a cell is set, stored at the cell's first corner."""
    near = np.zeros_like(flags)
    near[:-1, :-1, :-1] = flags[:-1, :-1, :-1]
    for i, j, k in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1)):
        shifted = flags[i:, j:, k:]
        near[: shifted.shape[0], : shifted.shape[1], : shifted.shape[2]] |= shifted
    return near


def _offer_nearby(
    small: FlatPolygons,
    points: np.ndarray,
    owner: np.ndarray,
    found: np.ndarray,
    slot: np.ndarray,
    squared: np.ndarray,
    minima: _Minima,
) -> None:
    """Give each voxel the nearest of the surface points that its eight surrounding nodes found."""
    voxels = minima.slots.coords[slot].astype(np.float32)
    node, found_flat = minima.slots.node[slot], found.reshape(-1)
    best = np.full(len(slot), np.float32(np.inf))
    winner = np.full(len(slot), -1, np.int32)
    _, size_y, size_z = found.shape
    for i, j, k in np.ndindex(2, 2, 2):
        candidate = found_flat.take(node + np.int32((i * size_y + j) * size_z + k))
        offset = voxels - points.take(candidate, axis=0, mode="wrap")
        distance = np.einsum("nc,nc->n", offset, offset)
        distance[candidate < 0] = np.inf
        is_better = distance < best
        np.copyto(best, distance, where=is_better)
        np.copyto(winner, candidate, where=is_better)
    # a point a voxel off the nearest one of its triangle is at most this much too far
    is_kept = (winner >= 0) & (np.sqrt(best) - 1 < np.minimum(np.sqrt(squared), REACH_VOX))
    triangle = owner[winner[is_kept]]
    minima.offer(slot[is_kept], small.number[triangle], pair_distances(small, triangle, voxels[is_kept]))


def _thinned(points: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One point a voxel."""
    i, j, k = np.rint(points).astype(np.int64).T
    _, first = np.unique((i * 4096 + j) * 4096 + k, return_index=True)
    return np.ascontiguousarray(points[first]), owner[first]
