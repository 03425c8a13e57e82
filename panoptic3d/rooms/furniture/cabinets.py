"""What is closed by doors: wardrobes, sideboards, kitchen cupboards. And dressers, which are closed by drawers."""

import numpy as np

from panoptic3d.rooms.furniture.assemble import Piece, assemble, carcass, door_fronts, drawer_fronts, four_legs
from panoptic3d.rooms.meshes.shapes import box, cylinder, joined, lathe, tube
from panoptic3d.rooms.render.materials import Style, black
from panoptic3d.rooms.scene import Material, Model
from panoptic3d.structures.taxonomy import CABINET, DRESSER


def wardrobe(random: np.random.Generator, style: Style) -> Model:
    """Two to four doors, plinth, sometimes drawers below or a cornice above."""
    doors = int(random.choice([2, 2, 3, 4]))
    width, depth, height = (
        doors * float(random.uniform(0.44, 0.56)),
        float(random.uniform(0.52, 0.62)),
        float(random.uniform(1.9, 2.25)),
    )
    wood, face, board, foot = style.wood_for(random), style.wood_for(random), 0.022, 0.07
    pieces: list[Piece] = [
        (
            joined(
                [
                    carcass(width, depth, height - foot, board, foot),
                    box(width - 0.04, depth - 0.05, foot + 0.002, (0, 0.01, 0)),
                ]
            ),
            wood,
        )
    ]
    low, inner = foot + board, height - foot - 2 * board
    if random.random() < 0.35:
        high = float(random.uniform(0.3, 0.45))
        fronts, grips = drawer_fronts(
            random, width - 0.006, high, int(random.integers(1, 3)), max(1, doors // 2), -depth / 2, low
        )
        pieces += [(fronts, face), (grips, style.metal)]
        low, inner = low + high, inner - high
    leaves, grips = door_fronts(random, width - 0.006, inner, doors, -depth / 2, low, random.random() < 0.4)
    pieces += [(leaves, face), (grips, style.metal)]
    if random.random() < 0.3:
        pieces.append((box(width + 0.05, depth + 0.03, 0.05, (0, -0.015, height), 0.012), wood))
    return assemble("wardrobe", "wardrobe", CABINET, pieces)


def sideboard(random: np.random.Generator, style: Style) -> Model:
    """Low: doors and drawers side by side, on legs or a plinth."""
    width, depth, height = (
        float(random.uniform(1.1, 1.8)),
        float(random.uniform(0.38, 0.48)),
        float(random.uniform(0.7, 0.9)),
    )
    foot, wood, face, board = float(random.uniform(0.05, 0.2)), style.wood_for(random), style.wood_for(random), 0.02
    body = height - foot
    pieces: list[Piece] = [(carcass(width, depth, body, board, foot), wood)]
    pieces.append(
        (
            four_legs(random, width - 0.08, depth - 0.03, foot + 0.005, 0.045, 0.02 if foot > 0.1 else 0.0),
            wood if random.random() < 0.6 else style.metal,
        )
    )
    inner, low = body - 2 * board, foot + board
    share = float(random.choice([0.0, 0.34, 0.5]))
    drawers = share * (width - 2 * board)
    rest = width - 2 * board - drawers
    leaves, grips = door_fronts(
        random, rest, inner, 2 if rest < 1.1 else 3, -depth / 2 + 0.02, low, random.random() < 0.3
    )
    pieces += [(leaves.moved(-drawers / 2), face), (grips.moved(-drawers / 2), style.metal)]
    if drawers:
        fronts, grips = drawer_fronts(random, drawers, inner, int(random.integers(3, 5)), 1, -depth / 2 + 0.02, low)
        pieces += [(fronts.moved(rest / 2), face), (grips.moved(rest / 2), style.metal)]
    return assemble("sideboard", "sideboard", CABINET, pieces, [_free(width, depth, height)])


def tall_cabinet(random: np.random.Generator, style: Style) -> Model:
    """A narrow one as in the released renders: an open compartment above, drawers, a door; on splayed legs."""
    width, depth, height = (
        float(random.uniform(0.5, 0.9)),
        float(random.uniform(0.36, 0.46)),
        float(random.uniform(1.1, 1.7)),
    )
    foot, wood, board = float(random.uniform(0.06, 0.2)), style.wood_for(random), 0.022
    faces = (style.wood_2, style.wood_for(random))
    body, inner = height - foot, height - foot - 2 * board
    open_h, drawer_h = inner * float(random.uniform(0.15, 0.3)), inner * float(random.uniform(0.2, 0.35))
    low = foot + board
    y = -depth / 2 + 0.02
    leaves, grips = door_fronts(
        random, width - 2 * board, inner - open_h - drawer_h, 1 if width < 0.6 else 2, y, low, False
    )
    fronts, grips_2 = drawer_fronts(random, width - 2 * board, drawer_h, 2, 1, y, low + inner - open_h - drawer_h)
    shelf = box(width - 2 * board, depth - 0.03, 0.018, (0, 0, low + inner - open_h - 0.009))
    legs = four_legs(random, width - 0.03, depth - 0.02, foot + 0.005, 0.04, 0.03 if foot > 0.1 else 0.0)
    pieces: list[Piece] = [
        (joined([carcass(width, depth, body, board, foot), shelf]), wood),
        *((leaves, faces[0]), (fronts, faces[1]), (joined([grips, grips_2]), style.metal), (legs, wood)),
    ]
    return assemble("tall-cabinet", "tall-cabinet", CABINET, pieces, [_free(width, depth, height)])


def dresser(random: np.random.Generator, style: Style) -> Model:
    """A chest of three to five rows of drawers."""
    columns, rows = int(random.choice([1, 2, 2])), int(random.integers(3, 6))
    width, depth = columns * float(random.uniform(0.45, 0.7)) + 0.2, float(random.uniform(0.4, 0.5))
    height, foot = float(random.uniform(0.76, 1.1)), float(random.uniform(0.04, 0.14))
    wood, board = style.wood_for(random), 0.022
    shell = carcass(width, depth, height - foot - 0.02, board, foot)
    top = box(width + 0.02, depth + 0.02, 0.022, (0, -0.004, height - 0.022), 0.006)
    fronts, grips = drawer_fronts(
        random, width - 2 * board, height - foot - 0.02 - 2 * board, rows, columns, -depth / 2 + 0.02, foot + board
    )
    legs = four_legs(random, width, depth, foot + 0.005, 0.05)
    pieces: list[Piece] = [(joined([shell, top, legs]), wood), (fronts, style.wood_for(random)), (grips, style.metal)]
    return assemble("dresser", "dresser", DRESSER, pieces, [_free(width, depth, height)])


def kitchen_row(random: np.random.Generator, style: Style) -> Model:
    """Base units under one worktop with sink or hob: one long thing of the class cabinet."""
    units, cell = int(random.integers(3, 6)), 0.6
    width, depth, height = units * cell, 0.6, 0.9
    face, top_material = style.wood_for(random), _worktop(random)
    pieces: list[Piece] = [
        (box(width, depth - 0.05, 0.76, (0, 0.025, 0.1)), face),
        (box(width - 0.02, depth - 0.12, 0.1, (0, 0.05, 0)), black()),
    ]
    for k in range(units):
        x, y = (k + 0.5) * cell - width / 2, -depth / 2 + 0.05
        if random.random() < 0.4:
            fronts, grips = drawer_fronts(random, cell - 0.004, 0.75, 3, 1, y, 0.105)
        else:
            fronts, grips = door_fronts(random, cell - 0.004, 0.75, 1, y, 0.105, False)
        pieces += [(fronts.moved(x), face), (grips.moved(x), style.metal)]
    pieces.append((box(width, depth, 0.038, (0, 0, height - 0.038), 0.004), top_material))
    left, right = _sink(-width / 2 + cell * 0.5, height, style), _hob(width / 2 - cell * 0.5, height)
    free = (-width / 2 + cell + 0.03, -depth / 2 + 0.05, width / 2 - cell - 0.03, depth / 2 - 0.04)
    return assemble("kitchen-row", "kitchen-row", CABINET, [*pieces, *left, *right], [(height, free)])


def _worktop(random: np.random.Generator) -> Material:
    dark = random.random() < 0.4
    color = (0.05, 0.05, 0.055) if dark else (0.62, 0.6, 0.56)
    return Material(color, "marble", tuple(c * 0.7 for c in color), 0.4, 0.25, seed=int(random.integers(2**31)))  # pyright: ignore[reportArgumentType]


def _sink(x: float, z: float, style: Style) -> list[Piece]:
    rim = box(0.5, 0.4, 0.006, (x, -0.02, z - 0.001), 0.002)
    basin = box(0.42, 0.32, 0.002, (x, -0.03, z + 0.0055))
    spout = tube(
        [(x, 0.2, z), (x, 0.2, z + 0.24), (x, 0.16, z + 0.29), (x, 0.08, z + 0.29), (x, 0.05, z + 0.25)], 0.011, 8
    )
    return [(joined([rim, spout, cylinder(0.024, 0.03, (x, 0.2, z - 0.001), 12)]), style.metal), (basin, black())]


def _hob(x: float, z: float) -> list[Piece]:
    plate = box(0.54, 0.48, 0.008, (x, -0.01, z - 0.001), 0.003)
    rings = [
        lathe([(r - 0.01, 0), (r, 0), (r, 0.003), (r - 0.01, 0.003), (r - 0.01, 0)], 20, (x + dx, dy, z + 0.006))
        for dx, dy, r in ((-0.13, -0.12, 0.075), (0.13, -0.12, 0.09), (-0.13, 0.1, 0.09), (0.13, 0.1, 0.075))
    ]
    return [(plate, black()), (joined(rings), Material((0.1, 0.1, 0.1), roughness=0.4))]


def wall_cupboard(random: np.random.Generator, style: Style) -> Model:
    """Hangs over a kitchen row."""
    units, depth, height = int(random.integers(2, 5)), 0.35, float(random.uniform(0.6, 0.75))
    width, face = units * 0.6, style.wood_for(random)
    leaves, grips = door_fronts(random, width, height, units, -depth / 2, 0.0, random.random() < 0.3)
    pieces: list[Piece] = [(box(width, depth, height), face), (leaves, face), (grips, style.metal)]
    return assemble("wall-cupboard", "wall-cupboard", CABINET, pieces)


def fridge(random: np.random.Generator, style: Style) -> Model:
    width, depth, height = 0.6, 0.64, float(random.uniform(1.55, 1.95))
    body = Material((0.75, 0.75, 0.74) if random.random() < 0.6 else (0.45, 0.46, 0.48), roughness=0.35)
    split = height * float(random.uniform(0.55, 0.7))
    doors = [
        box(width, 0.06, high, (0, -depth / 2 + 0.03, z), 0.012)
        for z, high in ((0.03, split - 0.033), (split, height - split))
    ]
    grips = [
        box(0.018, 0.03, 0.35, (width / 2 - 0.06, -depth / 2 - 0.012, z), 0.006) for z in (split - 0.42, split + 0.06)
    ]
    inner = box(width - 0.01, depth - 0.08, height - 0.04, (0, 0.04, 0.03), 0.006)
    pieces: list[Piece] = [
        (joined([*doors, inner]), body),
        (joined(grips), style.metal),
        (box(width - 0.06, depth - 0.14, 0.035), black()),
    ]
    return assemble("fridge", "fridge", CABINET, pieces)


def _free(width: float, depth: float, height: float) -> tuple[float, tuple[float, float, float, float]]:
    return height, (-width / 2 + 0.02, -depth / 2 + 0.02, width / 2 - 0.02, depth / 2 - 0.02)
