"""Windows and doors that fill an opening of a wall. Their class is wall: the release knows neither, and shows none."""

import numpy as np

from panoptic3d.rooms.furniture.assemble import Piece, assemble
from panoptic3d.rooms.meshes.shapes import box, cylinder, frame, joined, tube
from panoptic3d.rooms.render.materials import Style, glass
from panoptic3d.rooms.scene import Material, Model
from panoptic3d.structures.taxonomy import WALL

_WHITE = Material((0.8, 0.8, 0.78), roughness=0.4)


def window(
    random: np.random.Generator, style: Style, width_m: float = 1.3, height_m: float = 1.3, depth_m: float = 0.07
) -> Model:
    """One to three sashes with glass, sometimes with bars; it fills the opening exactly, its outside at the largest y."""
    bar, count = 0.055, max(1, round(width_m / float(random.uniform(0.6, 1.1))))
    material = _WHITE if random.random() < 0.75 else style.wood
    outer = frame(width_m, height_m, bar, depth_m)
    inner_w, inner_h = width_m - 2 * bar, height_m - 2 * bar
    cell = inner_w / count
    sashes, panes = [], []
    for k in range(count):
        x = (k + 0.5) * cell - inner_w / 2
        sashes.append(frame(cell, inner_h, 0.045, depth_m * 0.7).moved(x, -depth_m * 0.15, bar))
        if random.random() < 0.3:
            sashes.append(box(cell - 0.09, 0.02, 0.02, (x, -depth_m * 0.5, bar + inner_h * 0.5)))
        panes.append(box(cell - 0.088, 0.006, inner_h - 0.088, (x, -depth_m * 0.5, bar + 0.044)))
    handles = [
        box(
            0.012,
            0.03,
            0.11,
            ((k / count - 0.5) * inner_w + 0.02, -depth_m * 0.86 - 0.014, bar + inner_h * 0.45),
            0.003,
        )
        for k in range(1, max(2, count))
    ]
    pieces: list[Piece] = [
        (joined([outer, *sashes]), material),
        (joined(panes), glass()),
        (joined(handles), style.metal),
    ]
    return assemble("window", "window", WALL, pieces)


def door(random: np.random.Generator, style: Style, width_m: float = 0.9, height_m: float = 2.05) -> Model:
    """A closed leaf in its lining, panelled or plain; the room's side is -y. Its casing is the wall's business."""
    lining = 0.03
    sides = [box(lining, 0.1, height_m, (s * (width_m - lining) / 2, -0.05, 0), 0.003) for s in (-1, 1)]
    head = box(width_m - 2 * lining, 0.1, lining, (0, -0.05, height_m - lining), 0.003)
    leaf_w, leaf_h = width_m - 2 * lining, height_m - lining
    leaf = box(leaf_w, 0.04, leaf_h, (0, -0.06, 0), 0.003)  # no gap that a ray could pass
    panels = []
    rows = int(random.choice([0, 2, 3]))
    for row in range(rows):
        high = (leaf_h - 0.12) / rows - 0.1
        z = 0.1 + row * (high + 0.1)
        for s in (-1, 1):
            panels.append(frame(leaf_w / 2 - 0.12, high, 0.018, 0.012).moved(s * leaf_w * 0.24, -0.079, z))
    material = _WHITE if random.random() < 0.6 else style.wood
    x, z = leaf_w / 2 - 0.07, 1.02
    lever = joined(
        [
            cylinder(0.022, 0.012, segments=12).turned(90, axis=0).moved(x, -0.08, z),
            tube([(x, -0.085, z), (x, -0.12, z), (x - 0.11, -0.12, z)], 0.008, 8),
        ]
    )
    return assemble("door", "door", WALL, [(joined([*sides, head, leaf, *panels]), material), (lever, style.metal)])
