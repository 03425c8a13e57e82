"""Solid shapes that furniture is made of: closed, their triangles anticlockwise seen from outside, in metres.

Every shape but the lathe stands with its base on `z = 0` around the z axis until it is moved. A closed shape has a positive
signed volume; the tests hold every primitive and every model to that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from jaxtyping import Float, Int32

from panoptic3d.rooms.meshes.triangulation import ear_clipped

Numbers = Float[np.ndarray, "..."]
Number = float | int
Point = tuple[Number, Number, Number]


@dataclass(frozen=True, eq=False)
class Shape:
    """Triangles with texture coordinates in metres; `u` runs along the grain."""

    vertices_m: Float[np.ndarray, "v 3"]
    triangles: Int32[np.ndarray, "t 3"]
    uv_m: Float[np.ndarray, "t 3 2"]

    def moved(self, x: Number = 0.0, y: Number = 0.0, z: Number = 0.0) -> "Shape":
        return replace(self, vertices_m=self.vertices_m + np.array([x, y, z]))

    def turned(self, degrees: Number, axis: int = 2) -> "Shape":
        """About a coordinate axis through the origin, anticlockwise seen against the axis."""
        return replace(self, vertices_m=self.vertices_m @ rotation(degrees, axis).T)

    def tapered(self, bottom: Number, lean_x: Number = 0.0, lean_y: Number = 0.0) -> "Shape":
        """Narrowed towards the floor to the share `bottom`, its foot pushed out by `lean`; for upright shapes at the axis."""
        height = self.vertices_m[:, 2].max()
        down = (1.0 - self.vertices_m[:, 2:] / height).clip(0.0, 1.0)
        plane = self.vertices_m[:, :2] * (1.0 - (1.0 - bottom) * down) + down * np.array([lean_x, lean_y])
        return replace(self, vertices_m=np.concatenate([plane, self.vertices_m[:, 2:]], axis=1))

    def warped(self, shift_m: Numbers) -> "Shape":
        return replace(self, vertices_m=self.vertices_m + shift_m)


def rotation(degrees: Number, axis: int = 2) -> Float[np.ndarray, "3 3"]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def joined(shapes: Sequence[Shape]) -> Shape:
    starts = np.cumsum([0, *(len(shape.vertices_m) for shape in shapes)])
    return Shape(
        np.concatenate([shape.vertices_m for shape in shapes]),
        np.concatenate([shape.triangles + start for shape, start in zip(shapes, starts, strict=False)]).astype(
            np.int32
        ),
        np.concatenate([shape.uv_m for shape in shapes]),
    )


def box(width_m: Number, depth_m: Number, height_m: Number, at: Point = (0, 0, 0), bevel_m: Number = 0.0) -> Shape:
    """`at` is the middle of the base. With a bevel the edges are chamfered, which is what catches the light."""
    half = np.array([width_m, depth_m, height_m]) / 2
    centre = np.array([at[0], at[1], at[2] + half[2]])
    bevel = min(bevel_m, 0.45 * 2 * half.min())
    if bevel <= 0:
        vertices, triangles = _CORNERS * half + centre, _BOX_TRIANGLES
    else:
        signs, is_face, triangles = _chamfered_box()
        vertices = signs * (half - bevel * (1 - is_face)) + centre
    return _box_mapped(vertices, triangles, int(np.argmax(half)))


def boxes(sizes_m: Float[np.ndarray, "n 3"], bases_m: Float[np.ndarray, "n 3"]) -> Shape:
    """Many plain boxes at once: books, slats."""
    centres = bases_m + sizes_m * (0, 0, 0.5)
    vertices = (_CORNERS[None] * sizes_m[:, None] / 2 + centres[:, None]).reshape(-1, 3)
    triangles = (_BOX_TRIANGLES[None] + 8 * np.arange(len(sizes_m))[:, None, None]).reshape(-1, 3)
    return _box_mapped(vertices, triangles.astype(np.int32), 2)


def rounded_box(
    width_m: Number,
    depth_m: Number,
    height_m: Number,
    at: Point = (0, 0, 0),
    radius_m: Number = 0.05,
    puff_m: Number = 0.0,
    steps: int = 2,
) -> Shape:
    """Edges as quarter circles of `steps` pieces; `puff` lifts the middle of the upper side, as upholstery does."""
    half = np.array([width_m, depth_m, height_m]) / 2
    radius = min(radius_m, 0.98 * half.min())
    lines, triangles = _cube_surface(steps, 3 if puff_m else 1)
    inner = half - radius
    # Grid lines: quarter-circle steps in both rims, a few in the middle.
    place = np.where(np.abs(lines) <= 1, lines * inner, np.sign(lines) * (inner + radius * (np.abs(lines) - 1)))
    core = np.clip(place, -inner, inner)
    out = place - core
    # On the cube's surface the largest overhang is the radius; the others are tangents of the angle.
    angle = np.tan(np.clip(out / radius, -1, 1) * np.pi / 4)
    length = np.linalg.norm(angle, axis=1, keepdims=True)
    vertices = core + radius * angle / np.maximum(length, 1e-12)
    if puff_m:
        share = np.clip(vertices / half, -1, 1)
        lift = puff_m * (1 - share[:, 0] ** 2) * (1 - share[:, 1] ** 2)
        vertices[:, 2] += np.where(vertices[:, 2] > 0, lift, 0.0)
    return _box_mapped(vertices + np.array([at[0], at[1], at[2] + half[2]]), triangles, int(np.argmax(half)))


def pillow(width_m: Number, depth_m: Number, height_m: Number, steps: int = 7) -> Shape:
    """Two puffed sheets sewn at the rim, the corners drawn in; lies flat around the origin, base at z = 0."""
    line = np.sin(np.linspace(-1, 1, steps) * np.pi / 2)
    x, y = np.meshgrid(line, line, indexing="ij")
    pull = 1 - 0.10 * (1 - x**2) * y**2 - 0.10 * (1 - y**2) * x**2
    swell = ((1 - x**2) * (1 - y**2)).clip(0) ** 0.42
    plane = np.stack([x * pull * width_m / 2, y * pull * depth_m / 2], axis=-1)
    upper = np.concatenate([plane, (height_m / 2 * swell + 0.003)[..., None]], axis=-1)
    lower = np.concatenate([plane, (-height_m / 2 * swell - 0.003)[..., None]], axis=-1)
    shape = between(lower, upper)
    return shape.moved(z=-float(shape.vertices_m[:, 2].min()))


def lathe(profile: Sequence[tuple[Number, Number]], segments: int = 16, at: Point = (0, 0, 0)) -> Shape:
    """Turns `(radius, z)` points about the z axis. From the bottom of the axis outwards and up to its top: a solid.

    A profile that closes on itself away from the axis (first point = last point) makes a ring, such as a lamp shade.
    """
    points = np.asarray(profile, dtype=np.float64)
    is_ring = bool(np.allclose(points[0], points[-1]))
    angles = np.arange(segments + 1) * (2 * np.pi / segments)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    rows = np.concatenate(
        [points[:, None, :1] * ring[None], np.repeat(points[:, None, 1:], segments + 1, axis=1)], axis=-1
    )
    if not is_ring:
        rows[0, :, :2] *= points[0, 0] > 1e-9
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    around = angles[None] * max(points[:, 0].max(), 1e-6)
    uv = np.stack(np.broadcast_arrays(along[:, None], around), axis=-1)
    return _sewn(rows, uv).moved(*at)


def cylinder(
    radius_m: Number,
    height_m: Number,
    at: Point = (0, 0, 0),
    segments: int = 16,
    bevel_m: Number = 0.0,
) -> Shape:
    b = min(bevel_m, 0.45 * height_m, 0.9 * radius_m)
    rim = [(radius_m - b, 0.0), (radius_m, b), (radius_m, height_m - b), (radius_m - b, height_m)]
    return lathe([(0, 0), *(rim if b > 0 else rim[1:3]), (0, height_m)], segments, at)


def ball(radius_m: Number, at: Point = (0, 0, 0), segments: int = 12) -> Shape:
    """`at` is the centre."""
    turn = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    points = [(max(radius_m * float(np.cos(a)), 0.0), radius_m * float(np.sin(a))) for a in turn]
    points[0], points[-1] = (0.0, -radius_m), (0.0, radius_m)
    return lathe(points, segments, at)


def tube(
    path_m: Sequence[Point | Numbers] | Numbers, radius_m: Number | Sequence[Number] | Numbers, segments: int = 8
) -> Shape:
    """A round bar along a path, with flat ends."""
    path = np.asarray(path_m, dtype=np.float64)
    radii = np.broadcast_to(np.asarray(radius_m, dtype=np.float64), (len(path),))
    steps = np.diff(path, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    tangents = np.concatenate([steps[:1], steps[:-1] + steps[1:], steps[-1:]])
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    side = np.eye(3)[int(np.argmin(np.abs(tangents[0])))]
    angles = np.arange(segments + 1) * (2 * np.pi / segments)
    rows = [np.repeat(path[:1], segments + 1, axis=0)]
    for point, tangent, radius in zip(path, tangents, radii, strict=True):
        side = side - tangent * (side @ tangent)
        side /= np.linalg.norm(side)
        across = np.cross(tangent, side)
        rows.append(point + radius * (np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * across))
    rows.append(np.repeat(path[-1:], segments + 1, axis=0))
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    along = np.concatenate([[0.0], along, along[-1:]])
    uv = np.stack(np.broadcast_arrays(along[:, None], (angles * radii.max())[None]), axis=-1)
    return _sewn(np.stack(rows), uv)


def extruded(outline_m: Sequence[tuple[Number, Number]] | Numbers, height_m: Number, bevel_m: Number = 0.0) -> Shape:
    """An anticlockwise outline in x and y, raised from z = 0; with a bevel both rims are chamfered."""
    outline = np.asarray(outline_m, dtype=np.float64)
    n = len(outline)
    inset = outline if bevel_m <= 0 else _inset(outline, bevel_m)
    levels = [(inset, 0.0), (outline, bevel_m), (outline, height_m - bevel_m), (inset, height_m)]
    levels = levels if bevel_m > 0 else levels[::3]
    vertices = np.concatenate([np.column_stack([ring, np.full(n, z)]) for ring, z in levels])
    cap = ear_clipped(inset)
    low, here, after = np.arange(len(levels) - 1)[:, None] * n, np.arange(n), (np.arange(n) + 1) % n
    quads = np.stack([low + here, low + after, low + n + after, low + n + here], axis=-1).reshape(-1, 4)
    sides = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    triangles = np.concatenate([cap[:, ::-1], sides, cap + (len(levels) - 1) * n]).astype(np.int32)
    size = np.append(outline.max(axis=0) - outline.min(axis=0), height_m)
    return _box_mapped(vertices, triangles, int(np.argmax(size)))


def upright(shape: Shape) -> Shape:
    """From lying in x and y to standing in x and z: what was up (z) now looks towards -y."""
    return shape.turned(90, axis=0)


def between(lower: Float[np.ndarray, "m n 3"], upper: Float[np.ndarray, "m n 3"]) -> Shape:
    """The solid between two grids of points; `upper` is anticlockwise (first axis x first, second y) seen from outside."""
    m, n, _ = upper.shape
    index = np.arange(m * n, dtype=np.int32).reshape(m, n)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    top = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    rim = np.concatenate([index[:-1, 0], index[-1, :-1], index[:0:-1, -1], index[0, :0:-1]])
    after = np.roll(rim, -1)
    low = m * n
    sides = np.concatenate([np.stack([rim + low, after + low, after], -1), np.stack([rim + low, after, rim], -1)])
    triangles = np.concatenate([top, top[:, ::-1] + low, sides]).astype(np.int32)
    vertices = np.concatenate([upper.reshape(-1, 3), lower.reshape(-1, 3)])
    u = np.concatenate([np.zeros((1, n)), np.cumsum(np.linalg.norm(np.diff(upper, axis=0), axis=-1), axis=0)])
    v = np.concatenate([np.zeros((m, 1)), np.cumsum(np.linalg.norm(np.diff(upper, axis=1), axis=-1), axis=1)], axis=1)
    uv = np.tile(np.stack([u, v], axis=-1).reshape(-1, 2), (2, 1))
    return Shape(vertices, triangles, uv[triangles])


def sheet(grid_m: Float[np.ndarray, "m n 3"], thickness_m: Number) -> Shape:
    """A cloth or a shell along a grid of points: thickened against its normals (first axis x second axis)."""
    du, dv = np.gradient(grid_m, axis=0), np.gradient(grid_m, axis=1)
    normal = np.cross(du, dv)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    return between(grid_m - thickness_m * normal, grid_m)


def frame(width_m: Number, height_m: Number, bar_m: Number, depth_m: Number, bevel_m: Number = 0.004) -> Shape:
    """Upright rectangular frame of four bars, open along y; its base is at z = 0 and its back at y = 0."""
    side = box(bar_m, depth_m, height_m, bevel_m=bevel_m)
    rail = box(width_m - 2 * bar_m, depth_m, bar_m, bevel_m=bevel_m)
    x, y = (width_m - bar_m) / 2, -depth_m / 2
    return joined([side.moved(-x, y), side.moved(x, y), rail.moved(0, y), rail.moved(0, y, height_m - bar_m)])


def signed_volume_m3(vertices_m: Numbers, triangles: Int32[np.ndarray, "t 3"]) -> float:
    a, b, c = (vertices_m[triangles[:, i]].astype(np.float64) for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


_CORNERS = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], dtype=np.float64)
_BOX_TRIANGLES = np.array(
    [
        *((0, 2, 3), (0, 3, 1), (4, 5, 7), (4, 7, 6)),
        *((0, 1, 5), (0, 5, 4), (2, 6, 7), (2, 7, 3)),
        *((0, 4, 6), (0, 6, 2), (1, 3, 7), (1, 7, 5)),
    ],
    dtype=np.int32,
)  # fmt: skip


@cache
def _chamfered_box() -> tuple[Numbers, Numbers, Int32[np.ndarray, "t 3"]]:
    """Signs and face flags of 24 vertices (each corner thrice, once on each of its faces), and the 44 triangles."""
    signs = np.repeat(_CORNERS, 3, axis=0)
    is_face = np.tile(np.eye(3), (8, 1))
    # The convex hull of a generic chamfered box has exactly the faces wanted; orient by the outward side.
    polygons: list[list[int]] = []
    keys = [(tuple(s.astype(int).tolist()), int(np.argmax(f))) for s, f in zip(signs, is_face, strict=True)]
    place = {key: index for index, key in enumerate(keys)}
    for axis in range(3):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        for sign in (-1, 1):
            corner = [_sign_triple(axis, sign, i, a, j, b) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            polygons.append([place[(c, axis)] for c in corner])
        for a in (-1, 1):  # the edges along `axis`, between the faces i and j
            for b in (-1, 1):
                ends = [_sign_triple(axis, s, i, a, j, b) for s in (-1, 1)]
                polygons.append([place[(ends[0], i)], place[(ends[1], i)], place[(ends[1], j)], place[(ends[0], j)]])
    polygons += [[place[(tuple(c.astype(int).tolist()), axis)] for axis in range(3)] for c in _CORNERS]
    sample = signs * (1 - 0.3 * (1 - is_face))
    triangles = []
    for polygon in polygons:
        a, b, c = sample[polygon[:3]]
        ordered = polygon if np.cross(b - a, c - a) @ a > 0 else polygon[::-1]
        triangles += [(ordered[0], ordered[k], ordered[k + 1]) for k in range(1, len(ordered) - 1)]
    return signs, is_face, np.array(triangles, dtype=np.int32)


def _sign_triple(axis: int, sign: int, i: int, a: int, j: int, b: int) -> tuple[int, int, int]:
    triple = [0, 0, 0]
    triple[axis], triple[i], triple[j] = sign, a, b
    return triple[0], triple[1], triple[2]


@cache
def _cube_surface(rim: int, middle: int) -> tuple[Numbers, Int32[np.ndarray, "t 3"]]:
    """Surface of the cube [-2, 2]^3 with shared vertices: `rim` cells up to -1, `middle` to 1, `rim` to 2 along each axis."""
    line = np.concatenate(
        [np.linspace(-2, -1, rim + 1), np.linspace(-1, 1, middle + 1)[1:-1], np.linspace(1, 2, rim + 1)]
    )
    n = len(line)
    index: dict[tuple[int, int, int], int] = {}
    triangles = []

    def vertex(key: tuple[int, int, int]) -> int:
        return index.setdefault(key, len(index))

    for axis in range(3):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        for end in (0, n - 1):
            for a in range(n - 1):
                for b in range(n - 1):
                    quad = [
                        vertex(_sign_triple(axis, end, i, a + da, j, b + db))
                        for da, db in ((0, 0), (1, 0), (1, 1), (0, 1))
                    ]
                    quad = quad if end else quad[::-1]
                    triangles += [(quad[0], quad[1], quad[2]), (quad[0], quad[2], quad[3])]
    return line[np.array(list(index))], np.array(triangles, dtype=np.int32)


def _sewn(rows: Float[np.ndarray, "m n 3"], uv: Float[np.ndarray, "m n 2"]) -> Shape:
    """Rows of a turned surface, the last column equal to the first; rows that shrink to a point become one vertex."""
    m, n, _ = rows.shape
    index = np.arange(m * n, dtype=np.int32).reshape(m, n)
    index[:, -1] = index[:, 0]
    shrunk = np.ptp(rows, axis=1).max(axis=-1) < 1e-9
    index[shrunk] = index[shrunk, :1]
    if np.allclose(rows[0], rows[-1]):
        index[-1] = index[0]
    corner = np.arange(m * n).reshape(m, n)  # of the texture: not welded at the seam
    slots = [np.s_[:-1, :-1], np.s_[:-1, 1:], np.s_[1:, 1:], np.s_[1:, :-1]]
    picks = [(0, 1, 2), (0, 2, 3)]
    triangles = np.concatenate([np.stack([index[slots[k]] for k in pick], -1).reshape(-1, 3) for pick in picks])
    corners = np.concatenate([np.stack([corner[slots[k]] for k in pick], -1).reshape(-1, 3) for pick in picks])
    is_whole = (
        (triangles[:, 0] != triangles[:, 1])
        & (triangles[:, 1] != triangles[:, 2])
        & (triangles[:, 2] != triangles[:, 0])
    )
    used, renumbered = np.unique(triangles[is_whole], return_inverse=True)
    vertices = rows.reshape(-1, 3)[used]
    return Shape(vertices, renumbered.reshape(-1, 3).astype(np.int32), uv.reshape(-1, 2)[corners[is_whole]])


def _box_mapped(vertices: Numbers, triangles: Int32[np.ndarray, "t 3"], grain: int) -> Shape:
    """Texture by the dominant axis of each triangle, `u` along the axis `grain` where the triangle shows it."""
    corners = vertices[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    dominant = np.argmax(np.abs(normal), axis=1)
    axes = np.array(
        [
            [(1, 2), (2, 0), (0, 1)][d] if (d == grain or (d + 1) % 3 == grain) else [(2, 1), (0, 2), (1, 0)][d]
            for d in range(3)
        ]
    )
    picked = axes[dominant]
    uv = np.take_along_axis(corners, np.repeat(picked[:, None, :], 3, axis=1), axis=2)
    return Shape(vertices, triangles, uv)


def _inset(outline: Float[np.ndarray, "n 2"], by_m: Number) -> Float[np.ndarray, "n 2"]:
    edge = np.roll(outline, -1, axis=0) - outline
    edge /= np.maximum(np.linalg.norm(edge, axis=1, keepdims=True), 1e-12)
    inward = np.column_stack([-edge[:, 1], edge[:, 0]])
    before = np.roll(inward, 1, axis=0)
    bisector = inward + before
    return outline + by_m * bisector / np.maximum(1 + np.sum(inward * before, axis=1, keepdims=True), 0.3)
