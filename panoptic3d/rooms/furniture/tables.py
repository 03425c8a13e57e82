"""Tables: for dining, before sofas, beside beds, under televisions."""

import numpy as np

from panoptic3d.rooms.furniture.assemble import Piece, assemble, carcass, drawer_fronts, four_legs, sled_legs
from panoptic3d.rooms.meshes.shapes import Shape, box, cylinder, extruded, joined, lathe
from panoptic3d.rooms.render.materials import Style, glass
from panoptic3d.rooms.scene import Model
from panoptic3d.structures.taxonomy import DRESSER, TABLE


def dining_table(random: np.random.Generator, style: Style) -> Model:
    """For four to eight; chairs find room under it."""
    width, depth = float(random.uniform(1.2, 2.1)), float(random.uniform(0.8, 0.98))
    height, thick = float(random.uniform(0.73, 0.77)), float(random.uniform(0.022, 0.04))
    wood = style.wood_for(random)
    pieces: list[Piece] = [(_top(random, width, depth, thick, height), wood)]
    under = height - thick
    match int(random.integers(4)):
        case 0:
            legs = four_legs(random, width - 0.06, depth - 0.06, under, float(random.uniform(0.05, 0.08)), 0.0)
            pieces.append((joined([legs, *_apron(width - 0.2, depth - 0.18, under, 0.07)]), wood))
        case 1:
            legs = four_legs(random, width - 0.1, depth - 0.1, under, 0.05, 0.06)
            pieces.append((joined([legs, *_apron(width - 0.4, depth - 0.34, under, 0.05)]), style.wood_for(random)))
        case 2:
            pieces.append((sled_legs(width * 0.82, depth * 0.84, under, 0.05), style.metal))
        case _:
            pieces.append((_trestle(width, depth, under), wood if random.random() < 0.5 else style.metal))
    return assemble("dining-table", "dining-table", TABLE, pieces, [_whole_top(width, depth, height)])


def round_table(random: np.random.Generator, style: Style) -> Model:
    radius, height = float(random.uniform(0.45, 0.65)), float(random.uniform(0.73, 0.76))
    top = cylinder(radius, 0.03, (0, 0, height - 0.03), 32, 0.008)
    wood = style.wood_for(random)
    if random.random() < 0.55:
        foot = radius * 0.6
        profile = [
            (0, 0),
            (foot, 0),
            (foot, 0.015),
            (foot * 0.5, 0.04),
            (0.06, 0.1),
            (0.045, 0.3),
            (0.06, 0.5),
            (0.05, height - 0.1),
            (0.14, height - 0.03),
            (0, height - 0.03),
        ]
        base: Piece = (lathe(profile, 20), wood if random.random() < 0.6 else style.metal)
    else:
        side = radius * 1.25
        base = (four_legs(random, side, side, height - 0.03, 0.045, 0.05), style.wood_for(random))
    half = radius * 0.7
    return assemble("round-table", "round-table", TABLE, [(top, wood), base], [(height, (-half, -half, half, half))])


def coffee_table(random: np.random.Generator, style: Style) -> Model:
    """Long, square or round; with a shelf, a glass top or plain."""
    height, wood = float(random.uniform(0.34, 0.46)), style.wood_for(random)
    if random.random() < 0.35:
        radius = float(random.uniform(0.32, 0.48))
        top = cylinder(radius, 0.028, (0, 0, height - 0.028), 32, 0.008)
        legs = four_legs(random, radius * 1.4, radius * 1.4, height - 0.028, 0.035, 0.06)
        half = radius * 0.68
        pieces: list[Piece] = [(top, wood), (legs, style.metal if random.random() < 0.4 else wood)]
        return assemble("coffee-table-round", "coffee-table", TABLE, pieces, [(height, (-half, -half, half, half))])
    width, depth = float(random.uniform(0.8, 1.3)), float(random.uniform(0.5, 0.7))
    thick = float(random.uniform(0.02, 0.045))
    has_glass = random.random() < 0.2
    top = box(width, depth, thick, (0, 0, height - thick), 0.006)
    frame = style.metal if random.random() < 0.35 else wood
    is_sled = random.random() < 0.3
    legs = (
        sled_legs(width - 0.06, depth - 0.04, height - thick, 0.03)
        if is_sled
        else four_legs(random, width - 0.04, depth - 0.04, height - thick, 0.045, 0.0)
    )
    shelf = (
        [box(width - 0.12, depth - 0.1, 0.018, (0, 0, 0.12), 0.003)] if random.random() < 0.45 and not is_sled else []
    )
    pieces = [(top, glass() if has_glass else wood), (joined([legs, *shelf]), frame)]
    return assemble("coffee-table", "coffee-table", TABLE, pieces, [_whole_top(width, depth, height)])


def side_table(random: np.random.Generator, style: Style) -> Model:
    """Small and open, beside a sofa or an armchair."""
    height, wood = float(random.uniform(0.46, 0.6)), style.wood_for(random)
    if random.random() < 0.55:
        radius = float(random.uniform(0.2, 0.28))
        top = cylinder(radius, 0.02, (0, 0, height - 0.02), 28, 0.006)
        if random.random() < 0.5:
            legs = four_legs(random, radius * 1.45, radius * 1.45, height - 0.02, 0.026, 0.03)
        else:
            legs = lathe(
                [
                    (0, 0),
                    (radius * 0.75, 0),
                    (radius * 0.75, 0.012),
                    (0.02, 0.025),
                    (0.016, height - 0.02),
                    (0, height - 0.02),
                ],
                20,
            )
        half = radius * 0.68
        return assemble(
            "side-table",
            "side-table",
            TABLE,
            [(top, wood), (legs, style.metal)],
            [(height, (-half, -half, half, half))],
        )
    side = float(random.uniform(0.4, 0.52))
    top, legs = (
        box(side, side, 0.025, (0, 0, height - 0.025), 0.004),
        four_legs(random, side, side, height - 0.025, 0.035),
    )
    shelf = box(side - 0.07, side - 0.07, 0.016, (0, 0, 0.16), 0.003)
    return assemble(
        "side-table", "side-table", TABLE, [(joined([top, legs, shelf]), wood)], [_whole_top(side, side, height)]
    )


def nightstand(random: np.random.Generator, style: Style) -> Model:
    """One to three drawers; in the release such a small chest counts as a dresser."""
    width, depth, height = (
        float(random.uniform(0.4, 0.56)),
        float(random.uniform(0.36, 0.44)),
        float(random.uniform(0.42, 0.6)),
    )
    foot = float(random.uniform(0.03, 0.18))
    wood, body = style.wood_for(random), height - foot
    shell = carcass(width, depth, body, 0.018, foot)
    legs = four_legs(random, width - 0.02, depth - 0.02, foot + 0.005, 0.035, 0.012 if foot > 0.1 else 0.0)
    is_open = random.random() < 0.35 and body > 0.3
    low = foot + 0.018 + (0.16 if is_open else 0.0)
    rows = 1 if is_open else int(random.integers(1, 4))
    fronts, grips = drawer_fronts(random, width - 0.036, foot + body - 0.018 - low, rows, 1, -depth / 2 + 0.02, low)
    pieces: list[Piece] = [(shell, wood), (fronts, style.wood_for(random)), (grips, style.metal), (legs, wood)]
    if is_open:
        pieces.append((box(width - 0.036, depth - 0.03, 0.016, (0, 0, low - 0.016)), wood))
    return assemble("nightstand", "nightstand", DRESSER, pieces, [_whole_top(width, depth, height)])


def tv_stand(random: np.random.Generator, style: Style) -> Model:
    """Low and long, open compartments between closed ones."""
    width, depth, height = (
        float(random.uniform(1.2, 2.0)),
        float(random.uniform(0.36, 0.44)),
        float(random.uniform(0.38, 0.54)),
    )
    foot, wood, board = float(random.uniform(0.04, 0.17)), style.wood_for(random), 0.02
    body, cells = height - foot, int(random.choice([2, 3, 3, 4]))
    inner_w, inner_h = width - 2 * board, body - 2 * board
    shell = [carcass(width, depth, body, board, foot)]
    shell += [
        box(0.016, depth - 0.02, inner_h, ((k / cells - 0.5) * inner_w, 0, foot + board)) for k in range(1, cells)
    ]
    fronts: list[Shape] = []
    grips: list[Shape] = []
    for k in range(cells):
        x = ((k + 0.5) / cells - 0.5) * inner_w
        kind = random.random()
        if kind < 0.35:
            shell.append(box(inner_w / cells - 0.016, depth - 0.03, 0.014, (x, 0, foot + body * 0.48)))
            continue
        make = drawer_fronts(
            random, inner_w / cells - 0.012, inner_h, int(random.integers(1, 3)), 1, -depth / 2 + 0.02, foot + board
        )
        fronts.append(make[0].moved(x))
        grips.append(make[1].moved(x))
    legs = four_legs(random, width - 0.1, depth - 0.03, foot + 0.005, 0.04, 0.015 if foot > 0.1 else 0.0)
    pieces: list[Piece] = [(joined(shell), wood), (legs, wood if random.random() < 0.6 else style.metal)]
    if fronts:
        pieces += [(joined(fronts), style.wood_2 if random.random() < 0.5 else wood), (joined(grips), style.metal)]
    return assemble("tv-stand", "tv-stand", TABLE, pieces, [_whole_top(width, depth, height)])


def console_table(random: np.random.Generator, style: Style) -> Model:
    """Narrow, along a wall."""
    width, depth, height = (
        float(random.uniform(0.9, 1.3)),
        float(random.uniform(0.3, 0.4)),
        float(random.uniform(0.76, 0.86)),
    )
    wood = style.wood_for(random)
    pieces: list[Piece] = [(box(width, depth, 0.03, (0, 0, height - 0.03), 0.005), wood)]
    if random.random() < 0.5:
        legs = four_legs(random, width - 0.02, depth - 0.02, height - 0.03, 0.04)
        fronts, grips = drawer_fronts(random, width - 0.12, 0.1, 1, 2, -depth / 2 + 0.05, height - 0.14)
        apron = _apron(width - 0.06, depth - 0.06, height - 0.03, 0.11)
        pieces += [(joined([legs, *apron]), wood), (fronts, wood), (grips, style.metal)]
    else:
        pieces.append((sled_legs(width - 0.04, depth - 0.02, height - 0.03, 0.025), style.metal))
    return assemble("console-table", "console-table", TABLE, pieces, [_whole_top(width, depth, height)])


def _whole_top(width: float, depth: float, height: float) -> tuple[float, tuple[float, float, float, float]]:
    edge = 0.015
    return height, (-width / 2 + edge, -depth / 2 + edge, width / 2 - edge, depth / 2 - edge)


def _top(random: np.random.Generator, width: float, depth: float, thick: float, height: float) -> Shape:
    """A board with sharp or with well rounded corners."""
    if random.random() < 0.6:
        return box(width, depth, thick, (0, 0, height - thick), min(0.008, thick / 3))
    radius, steps = float(random.uniform(0.05, 0.2)), 5
    turn = np.linspace(0, np.pi / 2, steps + 1)
    outline = []
    for k, (sx, sy) in enumerate([(1, 1), (-1, 1), (-1, -1), (1, -1)]):
        centre = np.array([sx * (width / 2 - radius), sy * (depth / 2 - radius)])
        outline.append(centre + radius * np.column_stack([np.cos(turn + k * np.pi / 2), np.sin(turn + k * np.pi / 2)]))
    return extruded(np.concatenate(outline), thick, min(0.006, thick / 3)).moved(z=height - thick)


def _apron(width: float, depth: float, top: float, high: float) -> list[Shape]:
    along = [box(width, 0.02, high, (0, s * depth / 2, top - high), 0.002) for s in (-1, 1)]
    return along + [box(0.02, depth, high, (s * width / 2, 0, top - high), 0.002) for s in (-1, 1)]


def _trestle(width: float, depth: float, under: float) -> Shape:
    """Two A-shaped ends and the bar between them."""
    x, shapes = width / 2 - 0.28, []
    for s in (-1, 1):
        shapes += [
            box(0.06, 0.05, under - 0.05, bevel_m=0.004)
            .tapered(0.9, 0, t * depth * 0.16)
            .moved(s * x, t * depth * 0.2, 0.0)
            for t in (-1, 1)
        ]
        shapes.append(box(0.07, depth * 0.72, 0.05, (s * x, 0, under - 0.05), 0.004))
    shapes.append(box(2 * x, 0.035, 0.07, (0, 0, under - 0.3), 0.004))
    shapes += [box(0.05, depth * 0.5, 0.06, (s * x, 0, under - 0.3), 0.004) for s in (-1, 1)]
    return joined(shapes)
