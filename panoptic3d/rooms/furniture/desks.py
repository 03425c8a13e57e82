"""Writing desks; whoever sits there sits at -y."""

import numpy as np

from panoptic3d.rooms.furniture.assemble import Piece, assemble, carcass, drawer_fronts, four_legs, sled_legs
from panoptic3d.rooms.meshes.shapes import box, joined
from panoptic3d.rooms.render.materials import Style
from panoptic3d.rooms.scene import Model
from panoptic3d.structures.taxonomy import DESK


def desk(random: np.random.Generator, style: Style) -> Model:
    """A board on legs, on sleds, or on one or two pedestals of drawers."""
    width, depth, height = (
        float(random.uniform(1.1, 1.7)),
        float(random.uniform(0.56, 0.76)),
        float(random.uniform(0.72, 0.76)),
    )
    wood, thick = style.wood_for(random), float(random.uniform(0.022, 0.035))
    under = height - thick
    pieces: list[Piece] = [(box(width, depth, thick, (0, 0, under), 0.005), wood)]
    match int(random.integers(3)):
        case 0:
            pieces += _drawer_apron(random, style, width, depth, under)
        case 1:
            pieces.append((sled_legs(width - 0.06, depth - 0.04, under, 0.035), style.metal))
            pieces.append((box(width - 0.1, 0.016, 0.3, (0, depth / 2 - 0.05, under - 0.3)), wood))
        case _:
            pieces += _pedestals(random, style, width, depth, under)
    free = (-width / 2 + 0.02, -depth / 2 + 0.02, width / 2 - 0.02, depth / 2 - 0.02)
    return assemble("desk", "desk", DESK, pieces, [(height, free)])


def _drawer_apron(random: np.random.Generator, style: Style, width: float, depth: float, under: float) -> list[Piece]:
    wood = style.wood_for(random)
    legs = four_legs(random, width - 0.02, depth - 0.02, under, 0.045, float(random.uniform(0.0, 0.03)))
    chest = box(width - 0.12, depth - 0.1, 0.1, (0, 0, under - 0.1), 0.003)
    fronts, grips = drawer_fronts(
        random, width - 0.13, 0.095, 1, int(random.integers(1, 4)), -depth / 2 + 0.052, under - 0.1
    )
    return [(joined([legs, chest]), wood), (fronts, wood), (grips, style.metal)]


def _pedestals(random: np.random.Generator, style: Style, width: float, depth: float, under: float) -> list[Piece]:
    """A chest under one or both ends; a panel carries the other end."""
    chest, board, wood = float(random.uniform(0.34, 0.42)), 0.018, style.wood_for(random)
    sides = [-1, 1] if random.random() < 0.35 and width > 1.3 else [-1 if random.random() < 0.5 else 1]
    pieces: list[Piece] = []
    for s in sides:
        x = s * (width / 2 - chest / 2 - 0.01)
        fronts, grips = drawer_fronts(
            random, chest - 2 * board, under - 0.06 - 2 * board, 3, 1, -depth / 2 + 0.05, 0.06 + board
        )
        body = carcass(chest, depth - 0.06, under - 0.05, board, 0.05)
        plinth = box(chest - 0.04, depth - 0.12, 0.052)
        pieces += [(joined([body, plinth]).moved(x), wood), (fronts.moved(x), wood), (grips.moved(x), style.metal)]
    if len(sides) == 1:
        x = -sides[0] * (width / 2 - 0.02)
        pieces.append((box(0.03, depth - 0.04, under, (x, 0, 0), 0.003), wood))
    pieces.append((box(width - 0.08, 0.016, 0.32, (0, depth / 2 - 0.06, under - 0.32)), wood))
    return pieces
