"""Walls, floor and ceiling as meshes in the world frame; every wall of the outline is a part of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from panoptic3d.rooms.furniture.assemble import snapped
from panoptic3d.rooms.layout.openings import Opening
from panoptic3d.rooms.layout.plans import Plan, Wall
from panoptic3d.rooms.meshes.triangulation import ear_clipped
from panoptic3d.rooms.render.materials import linear, paint, varied
from panoptic3d.rooms.scene import Material, TriangleMesh

_SKIRTING_M, _SKIRTING_THICK_M = 0.08, 0.012
_CASING_M, _CASING_THICK_M = 0.07, 0.015
_WHITE = Material((0.78, 0.78, 0.76), roughness=0.5)

# sRGB of boards and of laid floors.
_FLOORS = (
    (196, 160, 118),
    (170, 128, 88),
    (214, 188, 152),
    (120, 86, 60),
    (92, 66, 50),
    (186, 176, 164),
    (150, 140, 130),
)
_TILES = ((214, 208, 198), (190, 186, 180), (150, 148, 146), (226, 222, 216), (176, 160, 142))
_CARPETS = ((176, 168, 156), (140, 136, 132), (196, 186, 170), (112, 116, 122), (150, 132, 112))


@dataclass
class _Quads:
    """Quadrilaterals in the making; `uv` in metres along the surface."""

    corners: list[Float[np.ndarray, "4 3"]] = field(default_factory=list)
    uv: list[Float[np.ndarray, "4 2"]] = field(default_factory=list)
    material: list[int] = field(default_factory=list)

    def add(self, corners: Sequence[Sequence[float | int]], uv: Sequence[Sequence[float | int]], material: int) -> None:
        self.corners.append(np.asarray(corners, dtype=np.float64))
        self.uv.append(np.asarray(uv, dtype=np.float64))
        self.material.append(material)

    def mesh(self) -> TriangleMesh:
        n = len(self.corners)
        index = 4 * np.arange(n)[:, None, None] + np.array([(0, 1, 2), (0, 2, 3)])
        uv = np.stack(self.uv)[:, [(0, 1, 2), (0, 2, 3)]]
        return TriangleMesh(
            snapped(np.concatenate(self.corners)),
            index.reshape(-1, 3).astype(np.int32),
            np.repeat(np.array(self.material, dtype=np.int32), 2),
            snapped(uv.reshape(-1, 3, 2)),
        )


def wall_mesh(plan: Plan, wall: Wall, openings: Sequence[Opening], has_skirting: bool) -> TriangleMesh:
    """The side that faces the room, with holes and their reveals; materials: 0 wall, 1 skirting and casing."""
    quads = _Quads()
    cuts = sorted({0.0, wall.length, *(s for o in openings for s in (o.start_m, o.end_m)), *_ridge_cut(plan, wall)})
    for s0, s1 in pairwise(cuts):
        t0, t1 = plan.ceiling_m(np.stack([wall.at(s0), wall.at(s1)])).tolist()
        opening = next((o for o in openings if o.start_m <= s0 and s1 <= o.end_m), None)
        if opening is None:
            _face(quads, wall, s0, s1, (0.0, 0.0), (t0, t1), 0)
            continue
        if opening.sill_m > 0:
            _face(quads, wall, s0, s1, (0.0, 0.0), (opening.sill_m, opening.sill_m), 0)
        _face(quads, wall, s0, s1, (opening.top_m, opening.top_m), (t0, t1), 0)
    for opening in openings:
        _reveal(quads, wall, opening)
        if opening.kind == "door":
            _casing(quads, wall, opening)
        else:
            _bar(quads, wall, opening.start_m - 0.04, opening.end_m + 0.04, opening.sill_m - 0.03, opening.sill_m, 0.05)
    if has_skirting:
        _skirting(quads, wall, openings)
    return quads.mesh()


def _ridge_cut(plan: Plan, wall: Wall) -> list[float]:
    """Where the ridge meets the wall."""
    along = wall.along[1 - plan.ridge_axis]
    if not plan.is_pitched or abs(along) < 0.5:
        return []
    s = (plan.ridge_at_m - wall.start[1 - plan.ridge_axis]) / along
    return [float(s)] if 0 < s < wall.length else []


def _point(wall: Wall, s: float, off: float | int, z: float) -> list[float]:
    x, y = wall.at(s, off).tolist()
    return [x, y, z]


def _face(
    quads: _Quads,
    wall: Wall,
    s0: float,
    s1: float,
    low: tuple[float, float],
    high: tuple[float, float],
    material: int,
    off: float = 0.0,
) -> None:
    """Add a rectangle of the plane at `off` that faces the room."""
    corners = [_point(wall, s, off, z) for s, z in ((s0, low[0]), (s1, low[1]), (s1, high[1]), (s0, high[0]))]
    uv = [(s0, low[0]), (s1, low[1]), (s1, high[1]), (s0, high[0])]
    # Seen from inside, `along` runs to the right with the room on its left: x to the right, z up looks at us.
    quads.add(corners[::-1], uv[::-1], material)


def _reveal(quads: _Quads, wall: Wall, o: Opening) -> None:
    """The four sides of the hole, outwards from the wall's face."""
    back, material = -o.reveal_m, 0 if o.kind == "window" else 1
    ring = [(o.start_m, o.sill_m), (o.end_m, o.sill_m), (o.end_m, o.top_m), (o.start_m, o.top_m)]
    for (s0, z0), (s1, z1) in zip(ring, ring[1:] + ring[:1], strict=True):
        corners = [
            _point(wall, s0, 0, z0),
            _point(wall, s1, 0, z1),
            _point(wall, s1, back, z1),
            _point(wall, s0, back, z0),
        ]
        length = abs(s1 - s0) + abs(z1 - z0)
        quads.add(corners, [(0, 0), (length, 0), (length, -back), (0, -back)], material)


def _bar(quads: _Quads, wall: Wall, s0: float, s1: float, z0: float, z1: float, thick: float) -> None:
    """A board on the wall: its front and its four edges."""
    _face(quads, wall, s0, s1, (z0, z0), (z1, z1), 1, thick)
    ring = [(s0, z0), (s1, z0), (s1, z1), (s0, z1)]
    for (a, y0), (b, y1) in zip(ring, ring[1:] + ring[:1], strict=True):
        corners = [
            _point(wall, a, 0, y0),
            _point(wall, a, thick, y0),
            _point(wall, b, thick, y1),
            _point(wall, b, 0, y1),
        ]
        length = abs(b - a) + abs(y1 - y0)
        quads.add(corners[::-1], [(0, 0), (0, thick), (length, thick), (length, 0)][::-1], 1)


def _casing(quads: _Quads, wall: Wall, o: Opening) -> None:
    _bar(quads, wall, o.start_m - _CASING_M, o.start_m, 0.0, o.top_m + _CASING_M, _CASING_THICK_M)
    _bar(quads, wall, o.end_m, o.end_m + _CASING_M, 0.0, o.top_m + _CASING_M, _CASING_THICK_M)
    _bar(quads, wall, o.start_m, o.end_m, o.top_m, o.top_m + _CASING_M, _CASING_THICK_M)


def _skirting(quads: _Quads, wall: Wall, openings: Sequence[Opening]) -> None:
    doors = sorted((o.start_m - _CASING_M, o.end_m + _CASING_M) for o in openings if o.kind == "door")
    starts, ends = [0.0, *(end for _, end in doors)], [*(start for start, _ in doors), wall.length]
    for s0, s1 in zip(starts, ends, strict=True):
        if s1 > s0 + 0.01:
            _bar(quads, wall, s0, s1, 0.0, _SKIRTING_M, _SKIRTING_THICK_M)


def floor_mesh(plan: Plan) -> TriangleMesh:
    return _slab(plan.outline_m, lambda points: np.zeros(len(points)), faces_up=True)


def ceiling_mesh(plan: Plan) -> TriangleMesh:
    """One polygon, or two that meet in the ridge."""
    if not plan.is_pitched:
        return _slab(plan.outline_m, plan.ceiling_m, faces_up=False)
    halves = [_slab(half, plan.ceiling_m, faces_up=False) for half in _split_at_ridge(plan)]
    first, second = halves
    assert first.uv_m is not None
    assert second.uv_m is not None
    return TriangleMesh(
        np.concatenate([first.vertices_m, second.vertices_m]),
        np.concatenate([first.triangles, second.triangles + np.int32(len(first.vertices_m))]),
        np.concatenate([first.material_of, second.material_of]),
        np.concatenate([first.uv_m, second.uv_m]),
    )


def _slab(outline: Float[np.ndarray, "p 2"], height_of, faces_up: bool) -> TriangleMesh:
    triangles = ear_clipped(outline)
    triangles = triangles if faces_up else triangles[:, ::-1]
    vertices = np.column_stack([outline, height_of(outline)])
    uv = outline[triangles]
    return TriangleMesh(
        snapped(vertices), np.ascontiguousarray(triangles), np.zeros(len(triangles), dtype=np.int32), snapped(uv)
    )


def _split_at_ridge(plan: Plan) -> list[Float[np.ndarray, "p 2"]]:
    """The ridge crosses exactly two edges: the outline falls into two simple polygons."""
    axis, at = 1 - plan.ridge_axis, plan.ridge_at_m
    points: list[np.ndarray] = []
    ends: list[int] = []
    outline = plan.outline_m
    for here, after in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        points.append(here)
        if (here[axis] - at) * (after[axis] - at) < 0:
            share = (at - here[axis]) / (after[axis] - here[axis])
            ends.append(len(points))
            points.append(here + share * (after - here))
    first, second = ends
    whole = np.array(points)
    return [whole[first : second + 1], np.concatenate([whole[second:], whole[: first + 1]])]


@dataclass(frozen=True)
class Finishes:
    """Materials of the shell."""

    wall: Material
    accent: Material
    accent_wall: int
    floor: Material
    ceiling: Material
    trim: Material

    @classmethod
    def drawn(cls, random: np.random.Generator, num_walls: int, is_plain: bool) -> "Finishes":
        if is_plain:
            white = Material((0.75, 0.75, 0.75), roughness=0.9)
            return cls(white, white, -1, white, white, white)
        wall = paint(random)
        if random.random() < 0.06:
            second = tuple(round(c * 0.9, 4) for c in wall.color)
            wall = Material(
                wall.color, "stripes", (second[0], second[1], second[2]), 0.24, 0.85, seed=int(random.integers(2**31))
            )
        accent = _accent(random) if random.random() < 0.3 else wall
        index = int(random.integers(num_walls)) if accent is not wall else -1
        trim = (
            _WHITE
            if random.random() < 0.75
            else Material(linear((120, 86, 60)), "wood", linear((86, 60, 42)), 0.2, 0.5)
        )
        ceiling = Material(varied(random, (246, 246, 243), 3), roughness=0.95)
        return cls(wall, accent, index, _floor(random), ceiling, trim)


def _accent(random: np.random.Generator) -> Material:
    seed = int(random.integers(2**31))
    kind = random.random()
    if kind < 0.2:
        return Material(varied(random, (150, 92, 74), 12), "brick", linear((176, 168, 158)), 0.25, 0.95, seed=seed)
    if kind < 0.35:
        base = varied(random, (180, 140, 98), 12)
        return Material(base, "planks", (base[0] * 0.6, base[1] * 0.6, base[2] * 0.6), 0.14, 0.7, seed=seed)
    colors = ((132, 148, 140), (112, 128, 146), (176, 148, 128), (150, 138, 126), (90, 104, 100), (196, 176, 140))
    return Material(varied(random, colors[int(random.integers(len(colors)))], 10), roughness=0.85)


def _floor(random: np.random.Generator) -> Material:
    seed, kind = int(random.integers(2**31)), random.random()
    if kind < 0.58:
        base = varied(random, _FLOORS[int(random.integers(len(_FLOORS)))], 10)
        second = tuple(round(c * 0.68, 4) for c in base)
        return Material(
            base,
            "planks",
            (second[0], second[1], second[2]),
            round(float(random.uniform(0.1, 0.2)), 3),
            round(float(random.uniform(0.25, 0.6)), 3),
            seed=seed,
        )
    if kind < 0.8:
        base = varied(random, _TILES[int(random.integers(len(_TILES)))], 8)
        joint = tuple(round(c * 0.6, 4) for c in base)
        texture = "marble" if random.random() < 0.25 else "tiles"
        return Material(
            base, texture, (joint[0], joint[1], joint[2]), float(random.choice([0.3, 0.45, 0.6])), 0.25, seed=seed
        )
    base = varied(random, _CARPETS[int(random.integers(len(_CARPETS)))], 8)
    second = tuple(round(c * 0.85, 4) for c in base)
    return Material(base, "carpet", (second[0], second[1], second[2]), 0.05, 1.0, seed=seed)
