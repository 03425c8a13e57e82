"""Lamps for the floor, for tables and for the ceiling. A switched-on shade glows; layouts put a light beside it."""

import numpy as np

from panoptic3d.rooms.furniture.assemble import Piece, assemble
from panoptic3d.rooms.meshes.shapes import Shape, ball, cylinder, joined, lathe, tube
from panoptic3d.rooms.render.materials import Style, ceramic, lit_shade
from panoptic3d.rooms.scene import Material, Model
from panoptic3d.structures.taxonomy import LAMP

_GLOW = 1.7  # radiance of a lit shade: about that of a sunlit wall


def _glow(style: Style) -> float:
    return _GLOW if style.is_lamp_on else 0.0


def shade(low_m: float, high_m: float, height_m: float, z: float, segments: int = 28) -> Shape:
    """A truncated cone, open above and below, 3 mm thick."""
    t = 0.003
    ring = [(low_m - t, 0.0), (low_m, 0.0), (high_m, height_m), (high_m - t, height_m), (low_m - t, 0.0)]
    return lathe(ring, segments, (0, 0, z))


def _shade_with_frame(
    random: np.random.Generator, low: float, high: float, height: float, z: float
) -> tuple[Shape, Shape]:
    """`(shade, what holds it)`: a bar across the upper rim and the bulb."""
    bar = tube([(-high + 0.004, 0, z + height - 0.012), (high - 0.004, 0, z + height - 0.012)], 0.003, 5)
    return shade(low, high, height, z), joined([bar, ball(0.03, (0, 0, z + height * 0.5), 8)])


def floor_lamp(random: np.random.Generator, style: Style) -> Model:
    """A pole with a shade, a tripod, or an arc."""
    height, kind = float(random.uniform(1.4, 1.7)), int(random.integers(3))
    low, deep = float(random.uniform(0.17, 0.25)), float(random.uniform(0.22, 0.32))
    cone, holder = _shade_with_frame(random, low, low * float(random.uniform(0.7, 1.0)), deep, height - deep)
    lit = lit_shade(random, _glow(style))
    if kind == 2:
        return _arc_lamp(random, style, lit)
    if kind == 1:
        hub, foot = height - deep - 0.12, float(random.uniform(0.22, 0.28))
        legs = [
            tube(
                [(0.02 * np.cos(a), 0.02 * np.sin(a), hub), (foot * np.cos(a), foot * np.sin(a), 0)], [0.014, 0.011], 8
            )
            for a in np.arange(3) * 2 * np.pi / 3 + 0.5
        ]
        column = cylinder(0.012, height - 0.01 - hub + 0.03, (0, 0, hub - 0.03), 8)
        pieces: list[Piece] = [
            (joined([*legs, cylinder(0.04, 0.05, (0, 0, hub - 0.025), 12, 0.008)]), style.wood_for(random)),
            (joined([column, holder]), style.metal),
            (cone, lit),
        ]
        return assemble("floor-lamp-tripod", "floor-lamp", LAMP, pieces)
    foot = float(random.uniform(0.12, 0.16))
    stem = lathe(
        [
            (0, 0),
            (foot, 0),
            (foot, 0.016),
            (foot * 0.9, 0.024),
            (0.02, 0.035),
            (0.012, 0.06),
            (0.012, height - 0.01),
            (0, height - 0.01),
        ],
        20,
    )
    return assemble("floor-lamp", "floor-lamp", LAMP, [(joined([stem, holder]), style.metal), (cone, lit)])


def _arc_lamp(random: np.random.Generator, style: Style, lit: Material) -> Model:
    reach, high, drop = (
        float(random.uniform(0.5, 0.8)),
        float(random.uniform(1.7, 1.95)),
        float(random.uniform(0.12, 0.2)),
    )
    t = np.linspace(0, np.pi * 0.86, 14)
    centre = high - reach * 0.6
    path = np.column_stack([reach / 2 - reach / 2 * np.cos(t), 0 * t, centre + reach * 0.6 * np.sin(t)])
    end = path[-1]
    bell = float(random.uniform(0.15, 0.2))
    z = float(end[2]) - drop
    dome = [
        (bell - 0.004, 0),
        (bell, 0),
        (bell * 0.85, bell * 0.5),
        (bell * 0.4, bell * 0.8),
        (0.02, bell * 0.86),
        (0.02, bell * 0.82),
        (bell * 0.38, bell * 0.76),
        (bell * 0.82, bell * 0.48),
        (bell - 0.004, 0),
    ]
    head = lathe(dome, 24, (float(end[0]), 0, z - bell * 0.86))
    cord = tube([end, (float(end[0]), 0, z - bell * 0.5)], 0.005, 6)
    foot = cylinder(0.16, 0.05, segments=24, bevel_m=0.008)
    pole = tube(np.concatenate([[(0, 0, 0.04)], path]), 0.011, 8)
    pieces: list[Piece] = [
        (joined([foot, pole, cord]), style.metal),
        (head, style.metal),
        (ball(bell * 0.4, (float(end[0]), 0, z - bell * 0.5), 10), lit),
    ]
    return assemble("floor-lamp-arc", "floor-lamp", LAMP, pieces)


def table_lamp(random: np.random.Generator, style: Style) -> Model:
    """A turned or ceramic body, or a slim stem, under a shade."""
    body_h, low, deep = (
        float(random.uniform(0.16, 0.32)),
        float(random.uniform(0.1, 0.17)),
        float(random.uniform(0.13, 0.2)),
    )
    cone, holder = _shade_with_frame(random, low, low * float(random.uniform(0.6, 0.95)), deep, body_h + 0.03)
    belly = float(random.uniform(0.045, 0.09))
    if random.random() < 0.3:
        profile = [(0, 0), (0.075, 0), (0.075, 0.012), (0.012, 0.02), (0.008, body_h)]
    else:
        z = np.linspace(0.02, body_h, 8)
        bulge = belly * np.sin(np.pi * (0.12 + 0.8 * np.linspace(0, 1, 8) ** float(random.uniform(0.6, 1.6)))) + 0.012
        profile = [(0, 0), (belly * 0.75, 0), (belly * 0.75, 0.014), *zip(bulge.tolist(), z.tolist(), strict=True)]
    body = lathe(
        [*profile, (0.008, body_h + 0.01), (0.008, body_h + 0.03 + deep - 0.012), (0, body_h + 0.03 + deep - 0.012)], 20
    )
    material = ceramic(random) if random.random() < 0.6 else style.metal
    return assemble(
        "table-lamp",
        "table-lamp",
        LAMP,
        [(body, material), (holder, style.metal), (cone, lit_shade(random, _glow(style)))],
    )


def desk_lamp(random: np.random.Generator, style: Style) -> Model:
    """Jointed, its head over the work."""
    foot = cylinder(0.085, 0.02, segments=20, bevel_m=0.005)
    elbow = np.array([0.0, 0.12, 0.28 + 0.1 * random.random()])
    head = np.array([0.0, -0.12, 0.36 + 0.1 * random.random()])
    arm = tube([(0, 0, 0.01), tuple(elbow), tuple(head)], 0.008, 6)
    r = 0.055
    bell = _bell(r)
    cap = bell.moved(*(head - (0, 0, 0.09)).tolist())
    bulb = ball(0.026, (float(head[0]), float(head[1]), float(head[2]) - 0.06), 8)
    return assemble(
        "desk-lamp",
        "desk-lamp",
        LAMP,
        [(joined([foot, arm, cap]), style.metal), (bulb, lit_shade(random, _glow(style)))],
    )


def _bell(radius: float) -> Shape:
    t = 0.003
    rim = [
        (radius - t, 0),
        (radius, 0),
        (radius * 0.9, 0.05),
        (0.02, 0.1),
        (0.012, 0.1),
        (0.012, 0.096),
        (radius * 0.82, 0.048),
        (radius - t, 0),
    ]
    return lathe(rim, 16)


def pendant(random: np.random.Generator, style: Style) -> Model:
    """Hangs: its top is the ceiling rose."""
    drop, kind = float(random.uniform(0.5, 0.95)), int(random.integers(4))
    r = float(random.uniform(0.14, 0.26))
    rose = cylinder(0.05, 0.025, (0, 0, drop - 0.025), 16, 0.006)
    lit = lit_shade(random, _glow(style) * 1.2)
    if kind == 0:
        deep = float(random.uniform(0.18, 0.3))
        cone, bulb = _shade_with_frame(random, r, r * float(random.uniform(0.5, 1.0)), deep, 0.0)
        top = deep - 0.012
    elif kind == 1:
        cone, bulb, top = ball(r * 0.7, (0, 0, r * 0.7), 18), ball(0.02, (0, 0, r * 0.7), 6), r * 1.38
    elif kind == 2:
        t = 0.004
        dome = [
            (r - t, 0),
            (r, 0),
            (r * 0.92, r * 0.35),
            (r * 0.6, r * 0.68),
            (0.03, r * 0.8),
            (0.012, r * 0.8),
            (0.012, r * 0.78),
            (r * 0.57, r * 0.65),
            (r * 0.88, r * 0.34),
            (r - t, 0),
        ]
        cone, bulb, top = lathe(dome, 28), ball(0.045, (0, 0, r * 0.35), 10), r * 0.8
        cord = tube([(0, 0, r * 0.4), (0, 0, drop - 0.01)], 0.004, 6)
        shell = style.metal
        return assemble(
            "pendant-dome", "pendant", LAMP, [(joined([rose, cord]), style.metal), (cone, shell), (bulb, lit)]
        )
    else:
        lantern = [
            (0.03, 0),
            (r * 0.6, r * 0.12),
            (r * 0.85, r * 0.45),
            (r * 0.85, r * 0.8),
            (r * 0.6, r * 1.12),
            (0.03, r * 1.25),
        ]
        cone, bulb, top = lathe([(0, 0), *lantern, (0, r * 1.25)], 24), ball(0.02, (0, 0, r * 0.6), 6), r * 1.2
    cord = tube([(0, 0, top - 0.02), (0, 0, drop - 0.01)], 0.004, 6)
    return assemble("pendant", "pendant", LAMP, [(joined([rose, cord, bulb]), style.metal), (cone, lit)])


def ceiling_lamp(random: np.random.Generator, style: Style) -> Model:
    """Flat under the ceiling: a disc or a bowl."""
    r, deep = float(random.uniform(0.16, 0.26)), float(random.uniform(0.06, 0.11))
    bowl = [(0, 0), (r * 0.5, 0.006), (r * 0.85, deep * 0.35), (r, deep), (0, deep)]
    plate = cylinder(r * 1.03, 0.014, (0, 0, deep), 28, 0.004)
    return assemble(
        "ceiling-lamp",
        "ceiling-lamp",
        LAMP,
        [(lathe(bowl, 28), lit_shade(random, _glow(style) * 1.5)), (plate, style.metal)],
    )
