"""Shapes with materials become a model; and the joinery that several families share."""

from collections.abc import Sequence

import numpy as np

from panoptic3d.rooms.meshes.shapes import Shape, box, cylinder, joined, rotation, tube
from panoptic3d.rooms.scene import Material, Model, TriangleMesh

Piece = tuple[Shape, Material]
Top = tuple[float, tuple[float, float, float, float]]
_STEP_M = 2.0**-16  # vertices lie on this lattice, so that a last bit of sine or cosine changes no file


def assemble(name: str, role: str, class_id: int, pieces: Sequence[Piece], tops: Sequence[Top] = ()) -> Model:
    """Shifted to base z = 0 and to the middle of its bounding box."""
    materials = tuple(dict.fromkeys(material for _, material in pieces))
    shape = joined([shape for shape, _ in pieces])
    low, high = shape.vertices_m.min(axis=0), shape.vertices_m.max(axis=0)
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    counts = [len(shape.triangles) for shape, _ in pieces]
    mesh = TriangleMesh(
        snapped(shape.vertices_m - origin),
        shape.triangles,
        np.repeat(np.array([materials.index(m) for _, m in pieces], dtype=np.int32), counts),
        snapped(shape.uv_m),
    )
    return Model(name, role, class_id, mesh, materials, tuple(_moved_top(top, origin) for top in tops))


def snapped(numbers: np.ndarray) -> np.ndarray:
    return (np.round(numbers / _STEP_M) * _STEP_M).astype(np.float32)


def _moved_top(top: Top, origin: np.ndarray) -> Top:
    height, (x0, y0, x1, y1) = top
    x, y, z = (float(value) for value in origin)
    return round(height - z, 6), (round(x0 - x, 4), round(y0 - y, 4), round(x1 - x, 4), round(y1 - y, 4))


def four_legs(
    random: np.random.Generator,
    width_m: float | int,
    depth_m: float | int,
    height_m: float | int,
    thick_m: float | int,
    lean_m: float | int = 0.0,
) -> Shape:
    """Legs at the corners of a rectangle, square or round, tapered, leaning outwards by up to `lean_m`."""
    is_round, taper = random.random() < 0.5, float(random.uniform(0.5, 1.0))
    leg = cylinder(thick_m / 2, height_m, segments=10) if is_round else box(thick_m, thick_m, height_m, bevel_m=0.003)
    x, y = width_m / 2 - thick_m / 2 - lean_m, depth_m / 2 - thick_m / 2 - lean_m
    return joined(
        [leg.tapered(taper, sx * lean_m, sy * lean_m).moved(sx * x, sy * y) for sx in (-1, 1) for sy in (-1, 1)]
    )


def sled_legs(width_m: float | int, depth_m: float | int, height_m: float | int, bar_m: float | int) -> Shape:
    """Two closed frames of square bar, left and right."""
    y, top = depth_m / 2 - bar_m / 2, height_m - bar_m
    post = box(bar_m, bar_m, height_m)
    rail = box(bar_m, depth_m - 2 * bar_m, bar_m)
    side = joined([post.moved(y=-y), post.moved(y=y), rail, rail.moved(z=top)])
    x = width_m / 2 - bar_m / 2
    return joined([side.moved(-x), side.moved(x)])


def star_base(radius_m: float | int, height_m: float | int, num_arms: int = 5) -> tuple[Shape, Shape]:
    """Arms of an office chair with their castors: `(arms, castors)`, standing on z = 0."""
    castor_m, arms, castors = 0.055, [], []
    for k in range(num_arms):
        turn = rotation(360 / num_arms * k + 90)
        path = (
            np.array([(0.03, 0, height_m), (radius_m * 0.6, 0, castor_m + 0.035), (radius_m, 0, castor_m + 0.02)])
            @ turn.T
        )
        arms.append(tube(path, [0.024, 0.02, 0.016], 6))
        wheel = cylinder(castor_m / 2, 0.045, segments=10).moved(z=-0.0225).turned(90, axis=0)
        castors.append(
            wheel.turned(360 / num_arms * k + 20).moved(*(path[2] * (1, 1, 0)).tolist()).moved(z=castor_m / 2)
        )
        castors.append(cylinder(0.008, 0.04, (float(path[2][0]), float(path[2][1]), castor_m / 2), 6))
    return joined(arms), joined(castors)


def handle(random: np.random.Generator, width_m: float | int) -> Shape:
    """A bar, a knob or a cut-in strip that sits on a front at y = 0, in the middle of z = 0."""
    kind = int(random.integers(3))
    if kind == 0:
        knob = cylinder(0.013, 0.022, segments=8, bevel_m=0.004)
        return knob.turned(90, axis=0)
    length = min(width_m * 0.5, 0.16 if kind == 1 else 0.5)
    bar = box(length, 0.01, 0.012, (0, -0.022, -0.006), 0.003)
    feet = [box(0.008, 0.02, 0.008, (s * length * 0.42, -0.01, -0.004)) for s in (-1, 1)]
    return joined([bar, *feet])


def carcass(
    width_m: float | int,
    depth_m: float | int,
    height_m: float | int,
    board_m: float | int,
    z: float | int = 0.0,
    has_back: bool = True,
) -> Shape:
    """Bottom, top, sides and back of a cabinet that is open towards -y."""
    inner, bevel = height_m - 2 * board_m, 0.002
    side = box(board_m, depth_m, inner, bevel_m=bevel)
    x = width_m / 2 - board_m / 2
    boards = [
        box(width_m, depth_m, board_m, (0, 0, z), bevel),
        box(width_m, depth_m, board_m, (0, 0, z + height_m - board_m), bevel),
        side.moved(-x, z=z + board_m),
        side.moved(x, z=z + board_m),
    ]
    back = box(width_m - 2 * board_m, 0.008, inner, (0, depth_m / 2 - 0.006, z + board_m))
    return joined([*boards, back] if has_back else boards)


def drawer_fronts(
    random: np.random.Generator,
    width_m: float | int,
    height_m: float | int,
    rows: int,
    columns: int,
    y: float | int,
    z: float | int,
) -> tuple[Shape, Shape]:
    """`(fronts, handles)` that fill a rectangle of the plane y with gaps of 4 mm; they stand 2 cm before it."""
    cell_w, cell_h, gap = width_m / columns, height_m / rows, 0.004
    front = box(cell_w - gap, 0.02, cell_h - gap, bevel_m=0.002)
    grip, fronts, grips = handle(random, cell_w), [], []
    for row in range(rows):
        for column in range(columns):
            x, base = (column + 0.5) * cell_w - width_m / 2, z + row * cell_h
            fronts.append(front.moved(x, y - 0.01, base + gap / 2))
            grips.append(grip.moved(x, y - 0.02, base + cell_h * 0.5))
    return joined(fronts), joined(grips)


def door_fronts(
    random: np.random.Generator,
    width_m: float | int,
    height_m: float | int,
    columns: int,
    y: float | int,
    z: float | int,
    is_panelled: bool,
) -> tuple[Shape, Shape]:
    """Doors with upright handles towards their free edge; panelled ones carry a raised frame."""
    cell, gap = width_m / columns, 0.004
    leaf = [box(cell - gap, 0.018, height_m - gap, bevel_m=0.002)]
    if is_panelled:
        bar = min(0.07, cell * 0.2)
        side = box(bar, 0.008, height_m - gap, bevel_m=0.002)
        rail = box(cell - gap - 2 * bar, 0.008, bar, bevel_m=0.002)
        x = (cell - gap - bar) / 2
        leaf += [
            side.moved(-x, -0.012),
            side.moved(x, -0.012),
            rail.moved(0, -0.012),
            rail.moved(0, -0.012, height_m - gap - bar),
        ]
    length = min(0.4, height_m * 0.3) if random.random() < 0.5 else 0.12
    grip = joined(
        [
            box(0.012, 0.01, length, (0, -0.026, -length / 2), 0.003),
            *(box(0.008, 0.022, 0.008, (0, -0.011, s * length * 0.42)) for s in (-1, 1)),
        ]
    )
    front = 0.016 if is_panelled else 0.009
    doors, grips = [], []
    for k in range(columns):
        x = (k + 0.5) * cell - width_m / 2
        edge = (1 if k % 2 == 0 else -1) * (cell / 2 - 0.045)
        doors += [piece.moved(x, y - 0.009, z + gap / 2) for piece in leaf]
        grips.append(grip.moved(x + edge, y - 0.009 - front, z + height_m * (0.5 if height_m < 1.2 else 0.45)))
    return joined(doors), joined(grips)
