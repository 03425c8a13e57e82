"""Bookcases and wall shelves with what stands in them. A big bookcase is `other` in the release."""

from collections.abc import Sequence

import numpy as np

from panoptic3d.rooms.furniture.assemble import Piece, assemble, carcass, door_fronts
from panoptic3d.rooms.meshes.shapes import Shape, box, boxes, cylinder, joined, lathe
from panoptic3d.rooms.render.materials import Style, bright, ceramic
from panoptic3d.rooms.scene import Material, Model
from panoptic3d.structures.taxonomy import OTHER


def bookcase(random: np.random.Generator, style: Style) -> Model:
    """Shelves between sides, with books and small things; sometimes doors below."""
    width, depth, height = (
        float(random.uniform(0.7, 1.8)),
        float(random.uniform(0.28, 0.38)),
        float(random.uniform(1.4, 2.2)),
    )
    wood, board, foot = style.wood_for(random), 0.022, 0.05
    body, columns = height - foot, max(1, round(width / 0.75))
    rows = int(random.integers(4, 7)) if height > 1.7 else int(random.integers(3, 5))
    shell = [carcass(width, depth, body, board, foot), box(width - 0.03, depth - 0.04, foot + 0.002, (0, 0.01, 0))]
    inner_w, inner_h = width - 2 * board, body - 2 * board
    cell_w, cell_h = inner_w / columns, inner_h / rows
    shell += [
        box(board, depth - 0.01, inner_h, ((k / columns - 0.5) * inner_w, 0, foot + board)) for k in range(1, columns)
    ]
    shell += [box(inner_w, depth - 0.012, 0.018, (0, 0.002, foot + board + k * cell_h - 0.009)) for k in range(1, rows)]
    pieces: list[Piece] = [(joined(shell), wood)]
    closed = 1 if random.random() < 0.3 else 0
    if closed:
        doors, grips = door_fronts(random, inner_w, cell_h * 1.0, 2 * columns, -depth / 2 + 0.012, foot + board, False)
        pieces += [(doors, wood), (grips, style.metal)]
    colors = [bright(random) for _ in range(6)]
    fill = float(random.uniform(0.45, 0.95))
    for row in range(closed, rows):
        for column in range(columns):
            x, z = ((column + 0.5) / columns - 0.5) * inner_w, foot + board + row * cell_h + (0.009 if row else 0.0)
            contents = _contents(random, cell_w - 0.03, depth - 0.03, cell_h - 0.035, fill, colors, style)
            pieces += [(shape.moved(x, 0, z), material) for shape, material in contents]
    return assemble("bookcase", "bookcase", OTHER, pieces)


def _contents(
    random: np.random.Generator,
    width: float,
    depth: float,
    height: float,
    fill: float,
    colors: Sequence[Material],
    style: Style,
) -> list[Piece]:
    """Random contents of one compartment, standing on z = 0."""
    kind = random.random()
    if kind > fill:
        return [] if random.random() < 0.4 else [_ornament(random, width, height)]
    if kind > fill * 0.85:
        size = np.minimum([0.3, depth * 0.9, 0.2], [width * 0.9, depth, height * 0.8])
        return [(box(*size.tolist(), bevel_m=0.006), style.cloth_for(random))]
    return books(random, width * float(random.uniform(0.5, 0.98)), depth, height, colors, align=-width / 2)


def books(
    random: np.random.Generator, length: float, depth: float, height: float, colors: Sequence[Material], align: float
) -> list[Piece]:
    """A row of upright books from x = `align` on, spines towards -y."""
    thick = random.uniform(0.014, 0.045, 60)
    thick = thick[np.cumsum(thick) <= length]
    if len(thick) == 0:
        return []
    tall = np.minimum(random.uniform(0.6, 0.95) * height + random.normal(0, 0.015, len(thick)), height * 0.98).clip(
        0.08, 0.33
    )
    tall = np.minimum(tall, height * 0.98)
    deep = np.minimum(tall * 0.7, depth - 0.02)
    middle = align + np.cumsum(thick) - thick / 2
    bases = np.column_stack([middle, depth / 2 - 0.02 - deep / 2 - (depth - 0.02 - deep) * 0.6, np.zeros(len(thick))])
    sizes = np.column_stack([thick - 0.001, deep, tall])
    color = random.integers(0, len(colors), len(thick))
    return [(boxes(sizes[color == k], bases[color == k]), colors[k]) for k in range(len(colors)) if (color == k).any()]


def _ornament(random: np.random.Generator, width: float, height: float) -> Piece:
    high = min(height * float(random.uniform(0.4, 0.85)), 0.32)
    r = min(high * float(random.uniform(0.22, 0.4)), width * 0.3, 0.1)
    z = np.linspace(0, 1, 7)
    radius = r * (0.45 + 0.55 * np.sin(np.pi * (0.1 + 0.75 * z ** float(random.uniform(0.6, 1.5)))))
    profile = [(0.0, 0.0), *zip(radius.tolist(), (z * high).tolist(), strict=True), (0.0, high)]
    return lathe(profile, 16).moved(float(random.uniform(-0.25, 0.25)) * width), ceramic(random)


def wall_shelf(random: np.random.Generator, style: Style) -> Model:
    """One to three boards on a wall, with books; back at the largest y."""
    width, depth, rows = float(random.uniform(0.7, 1.3)), float(random.uniform(0.2, 0.26)), int(random.integers(1, 4))
    shapes: list[Shape] = []
    pieces: list[Piece] = []
    colors = [bright(random) for _ in range(5)]
    for row in range(rows):
        z = row * 0.34
        shapes.append(box(width, depth, 0.026, (0, 0, z), 0.004))
        shapes += [box(0.02, depth * 0.8, 0.04, (s * width * 0.36, depth * 0.1, z - 0.04), 0.002) for s in (-1, 1)]
        start = -width / 2 + float(random.uniform(0.02, 0.25))
        rows_of = books(random, float(random.uniform(0.2, 0.55)) * width, depth, 0.3, colors, start)
        pieces += [(shape.moved(z=z + 0.026), material) for shape, material in rows_of]
        if random.random() < 0.6:
            shape, material = _ornament(random, 0.2, 0.24)
            pieces.append((shape.moved(width * 0.36, 0, z + 0.026), material))
    return assemble("wall-shelf", "wall-shelf", OTHER, [(joined(shapes), style.wood_for(random)), *pieces])


def ladder_shelf(random: np.random.Generator, style: Style) -> Model:
    """Open: metal posts and boards, seen through."""
    width, depth, height = (
        float(random.uniform(0.6, 1.0)),
        float(random.uniform(0.3, 0.38)),
        float(random.uniform(1.5, 1.9)),
    )
    rows, post = int(random.integers(4, 6)), 0.022
    x, y = width / 2 - post / 2, depth / 2 - post / 2
    posts = [box(post, post, height, (sx * x, sy * y, 0)) for sx in (-1, 1) for sy in (-1, 1)]
    levels = np.linspace(0.1, height - 0.03, rows)
    boards = [box(width - 0.002, depth - 0.002, 0.022, (0, 0, float(z)), 0.003) for z in levels]
    pieces: list[Piece] = [(joined(posts), style.metal), (joined(boards), style.wood_for(random))]
    colors = [bright(random) for _ in range(5)]
    gap = float(levels[1] - levels[0]) - 0.03
    for z in levels[:-1]:
        contents = _contents(random, width - 0.08, depth - 0.05, gap - 0.02, 0.75, colors, style)
        pieces += [(shape.moved(z=float(z) + 0.022), material) for shape, material in contents]
    if random.random() < 0.4:
        pieces.append((cylinder(0.09, 0.14, (0, 0, float(levels[-1]) + 0.022), 16, 0.01), ceramic(random)))
    return assemble("ladder-shelf", "ladder-shelf", OTHER, pieces)
