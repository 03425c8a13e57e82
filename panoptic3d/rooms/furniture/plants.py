"""Pots with plants: upright blades, broad leaves on stems, a small tree, fronds. All leaves of a plant are one batch."""

import numpy as np
from jaxtyping import Float

from panoptic3d.rooms.furniture.assemble import Piece, assemble
from panoptic3d.rooms.meshes.shapes import Shape, cylinder, joined, lathe, tube
from panoptic3d.rooms.render.materials import Style, ceramic, leaf, soil, wood
from panoptic3d.rooms.scene import Model
from panoptic3d.structures.taxonomy import OTHER

Rows = Float[np.ndarray, "n 3"]


def floor_plant(random: np.random.Generator, style: Style) -> Model:
    size = float(random.uniform(0.8, 1.6))
    kind = (_blades, _broad, _tree, _fronds)[int(random.integers(4))]
    return assemble(f"floor-plant{kind.__name__.replace('_', '-')}", "floor-plant", OTHER, _potted(random, kind, size))


def small_plant(random: np.random.Generator, style: Style) -> Model:
    size = float(random.uniform(0.2, 0.42))
    kind = (_blades, _broad, _fronds)[int(random.integers(3))]
    return assemble(f"small-plant{kind.__name__.replace('_', '-')}", "small-plant", OTHER, _potted(random, kind, size))


def _potted(random: np.random.Generator, kind, size: float) -> list[Piece]:
    pot_r, pot_h = float(random.uniform(0.11, 0.15)) * size**0.75, float(random.uniform(0.2, 0.26)) * size**0.75
    taper = float(random.uniform(0.65, 1.0))
    t = pot_r * 0.08
    profile = [
        (0, 0),
        (pot_r * taper, 0),
        (pot_r, pot_h),
        (pot_r - t, pot_h),
        (pot_r - t, pot_h * 0.88),
        (0, pot_h * 0.88),
    ]
    pieces: list[Piece] = [
        (lathe(profile, 20), ceramic(random)),
        (cylinder(pot_r - t * 0.6, 0.004, (0, 0, pot_h * 0.88), 16), soil()),
    ]
    return pieces + [(shape.moved(z=pot_h * 0.87), material) for shape, material in kind(random, size - pot_h, pot_r)]


def leaves(
    starts: Rows,
    directions: Rows,
    lengths: Float[np.ndarray, " n"],
    widths: Float[np.ndarray, " n"],
    droop: Float[np.ndarray, " n"],
    fold: float = 0.15,
) -> Shape:
    """Closed lens-like leaves: base, two pairs of side points, tip, ribs above and below; they bend down by `droop`."""
    n = len(starts)
    ahead = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    side = np.cross(ahead, [0.0, 0.0, 1.0]) + 1e-9 * np.array([1.0, 0.0, 0.0])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    above = np.cross(side, ahead)
    down = np.array([0.0, 0.0, -1.0])

    def at(along: float | int, across: float | int, lift: float | int) -> Rows:
        point = starts + (lengths * along)[:, None] * ahead + (widths * across / 2)[:, None] * side
        return point + (lengths * along**2 * droop)[:, None] * down + (widths * lift)[:, None] * above

    thick = 0.012
    points = [
        at(0, 0, 0),
        at(0.4, -1, fold),
        at(0.4, 1, fold),
        at(0.78, -0.62, fold * 0.6),
        at(0.78, 0.62, fold * 0.6),
        at(1, 0, 0),
    ]
    points += [at(0.4, 0, 0.02), at(0.78, 0, 0.02), at(0.4, 0, 0.02 - thick * 3), at(0.78, 0, 0.02 - thick * 3)]
    upper = [(0, 2, 6), (0, 6, 1), (6, 2, 4), (6, 4, 7), (1, 6, 7), (1, 7, 3), (7, 4, 5), (3, 7, 5)]
    lower = [
        (a + 2 if a in (6, 7) else a, c + 2 if c in (6, 7) else c, b + 2 if b in (6, 7) else b) for a, b, c in upper
    ]
    faces = np.array(upper + lower, dtype=np.int32)
    flat = np.array(
        [(0, 0), (0.4, -0.5), (0.4, 0.5), (0.8, -0.3), (0.8, 0.3), (1, 0), (0.4, 0), (0.8, 0), (0.4, 0), (0.8, 0)]
    )
    vertices = np.stack(points, axis=1).reshape(-1, 3)
    triangles = (faces[None] + 10 * np.arange(n)[:, None, None]).reshape(-1, 3).astype(np.int32)
    uv = np.stack([lengths[:, None] * flat[None, :, 0], widths[:, None] * flat[None, :, 1]], axis=-1).reshape(-1, 2)
    return Shape(vertices, triangles, uv[triangles])


def _around(random: np.random.Generator, n: int) -> Float[np.ndarray, " n"]:
    return np.arange(n) * 2.39996 + random.uniform(0, 6) + random.normal(0, 0.25, n)


def _blades(random: np.random.Generator, height: float, radius: float) -> list[Piece]:
    """Stiff and upright, like a snake plant."""
    n = int(random.integers(9, 20))
    turn, out = _around(random, n), np.sqrt(np.linspace(0.02, 0.6, n)) * radius
    starts = np.column_stack([out * np.cos(turn), out * np.sin(turn), np.zeros(n)])
    steep = np.linspace(0.05, 0.35, n)
    directions = np.column_stack([np.cos(turn) * steep, np.sin(turn) * steep, np.ones(n)])
    lengths = height * random.uniform(0.6, 1.0, n)
    return [(leaves(starts, directions, lengths, np.full(n, 0.09 * height**0.7), np.full(n, 0.03)), leaf(random))]


def _broad(random: np.random.Generator, height: float, radius: float) -> list[Piece]:
    """Stems that end in one broad leaf each."""
    n = int(random.integers(12, 22))
    turn, rise = _around(random, n), np.linspace(1.0, 0.35, n) * height * 0.78
    reach = (0.18 + 0.3 * (1 - rise / height)) * height * random.uniform(0.7, 1.2, n)
    ends = np.column_stack([reach * np.cos(turn), reach * np.sin(turn), rise])
    stems = [
        tube(
            [(float(e[0]) * 0.08, float(e[1]) * 0.08, 0.0), tuple(e * (0.55, 0.55, 0.7)), tuple(e)],
            [0.007 * height**0.5, 0.006 * height**0.5, 0.004 * height**0.5],
            5,
        )
        for e in ends
    ]
    directions = np.column_stack([np.cos(turn), np.sin(turn), np.full(n, 0.25)])
    lengths = random.uniform(0.2, 0.32, n) * height**0.8
    green = leaf(random)
    return [(joined(stems), green), (leaves(ends, directions, lengths, lengths * 0.75, np.full(n, 0.45)), green)]


def _tree(random: np.random.Generator, height: float, radius: float) -> list[Piece]:
    """A trunk, branches and a cloud of leaves."""
    trunk_h = height * float(random.uniform(0.4, 0.55))
    sway = random.normal(0, 0.02, 2)
    trunk = tube(
        [(0, 0, 0), (sway[0], sway[1], trunk_h * 0.5), (0, 0, trunk_h), (sway[1], sway[0], height * 0.8)],
        [0.018, 0.016, 0.014, 0.006],
        7,
    )
    crown, n = (height - trunk_h) * 0.52, int(random.integers(110, 200))
    ball = random.normal(0, 1, (n, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    starts = ball * crown * (random.uniform(0.15, 1, (n, 1)) ** 0.5) * (0.85, 0.85, 0.95) + (
        0,
        0,
        trunk_h + crown * 0.92,
    )
    branches = [
        tube(
            [(0, 0, trunk_h * 0.9), tuple(starts[k] * 0.5 + np.array([0, 0, trunk_h * 0.5])), tuple(starts[k])],
            [0.009, 0.006, 0.003],
            5,
        )
        for k in range(0, n, max(1, n // 12))
    ]
    directions = ball + np.array([0, 0, 0.15])
    lengths = random.uniform(0.09, 0.15, n)
    return [
        (joined([trunk, *branches]), wood(random)),
        (leaves(starts, directions, lengths, lengths * 0.5, np.full(n, 0.3)), leaf(random)),
    ]


def _fronds(random: np.random.Generator, height: float, radius: float) -> list[Piece]:
    """Arching stems with pairs of narrow leaves: a palm or a fern."""
    n, pairs = int(random.integers(9, 15)), 9 if height > 0.5 else 5
    turn = _around(random, n)
    reach, rise = height * random.uniform(0.35, 0.55, n), height * random.uniform(0.6, 0.95, n)
    share = np.linspace(0, 1, pairs + 2)
    stems, starts, directions, lengths = [], [], [], []
    for k in range(n):
        out = np.array([np.cos(turn[k]), np.sin(turn[k]), 0.0])
        arc = reach[k] * share[:, None] ** 1.3 * out + np.outer(rise[k] * (1.5 * share - 0.65 * share**2.5), [0, 0, 1])
        stems.append(tube(arc, np.linspace(0.006, 0.002, len(arc)) * height**0.5, 4))
        along = np.gradient(arc, axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        across = np.cross(along, [0, 0, 1.0])
        for s in (-1, 1):
            starts.append(arc[2:])
            directions.append(along[2:] * 0.9 + s * across[2:])
            lengths.append(0.26 * height * np.sin(np.pi * (0.2 + 0.72 * share[2:])))
    size = np.concatenate(lengths)
    green = leaf(random)
    fronds = leaves(
        np.concatenate(starts), np.concatenate(directions), size, size * 0.18 + 0.004, np.full(len(size), 0.3)
    )
    return [(joined(stems), green), (fronds, green)]
