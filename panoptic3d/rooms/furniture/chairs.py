"""Chairs, armchairs and stools, their front towards -y."""

import numpy as np

from panoptic3d.rooms.furniture.assemble import Piece, assemble, four_legs, sled_legs, star_base
from panoptic3d.rooms.meshes.shapes import Shape, box, cylinder, joined, lathe, pillow, rounded_box, sheet, tube
from panoptic3d.rooms.render.materials import Style, black
from panoptic3d.rooms.scene import Model
from panoptic3d.structures.taxonomy import CHAIR


def dining_chair(random: np.random.Generator, style: Style) -> Model:
    kinds = (_ladder_chair, _padded_chair, _shell_chair, _round_back_chair)
    kind = kinds[int(random.integers(len(kinds)))]
    return assemble(f"dining-chair-{kind.__name__.strip('_')}", "dining-chair", CHAIR, kind(random, style))


def _back_posts(width: float, depth: float, seat: float, top: float, bar: float, lean: float) -> list[Shape]:
    """The hind legs that go on as posts of the back, bent backwards above the seat."""
    y = depth / 2 - bar / 2
    posts = []
    for s in (-1, 1):
        x = s * (width / 2 - bar / 2)
        posts.append(
            tube(
                [(x, y + 0.03, 0), (x, y, seat), (x, y + lean * 0.4, (seat + top) / 2), (x, y + lean, top)],
                [bar * 0.42, bar * 0.55, bar * 0.5, bar * 0.4],
                8,
            )
        )
    return posts  # fmt: skip


def _ladder_chair(random: np.random.Generator, style: Style) -> list[Piece]:
    """Solid wood: slats across or bars upright between bent posts."""
    width, depth, seat = (
        float(random.uniform(0.42, 0.48)),
        float(random.uniform(0.42, 0.48)),
        float(random.uniform(0.44, 0.47)),
    )
    top, bar, lean = float(random.uniform(0.84, 1.02)), 0.036, float(random.uniform(0.05, 0.1))
    wood, y = style.wood_for(random), depth / 2 - bar / 2
    frame = _back_posts(width, depth, seat, top, bar, lean)
    frame += [
        cylinder(bar / 2, seat - 0.01, segments=8).tapered(0.7).moved(s * (width / 2 - bar / 2), -y) for s in (-1, 1)
    ]
    frame += [box(width - bar, 0.02, 0.055, (0, s * y, seat - 0.075), 0.003) for s in (-1, 1)]
    frame += [box(0.02, depth - bar, 0.055, (s * (width / 2 - bar / 2), 0, seat - 0.075), 0.003) for s in (-1, 1)]

    def behind(z: float) -> float:
        return y + lean * (z - seat) / (top - seat) - 0.004

    if random.random() < 0.55:
        for z in np.linspace(seat + 0.16, top - 0.05, int(random.integers(2, 5))):
            x = np.linspace(-width / 2 + bar, width / 2 - bar, 7)
            bow = 0.02 * (1 - (x / x[-1]) ** 2)
            grid = np.stack([np.stack([x, behind(float(z)) + bow, np.full(7, h)], -1) for h in (z - 0.03, z + 0.03)], 1)
            frame.append(sheet(grid, 0.014))
    else:
        frame.append(box(width - bar, 0.022, 0.06, (0, behind(top - 0.05), top - 0.07), 0.004))
        for x in np.linspace(-width / 2 + 0.09, width / 2 - 0.09, int(random.integers(3, 6))):
            frame.append(tube([(x, behind(seat), seat - 0.02), (x, behind(top - 0.05), top - 0.05)], 0.009, 6))
    pieces: list[Piece] = [
        (joined(frame), wood),
        (rounded_box(width + 0.01, depth, 0.03, (0, -0.005, seat - 0.03), 0.012), wood),
    ]
    if random.random() < 0.5:
        pieces.append(
            (
                rounded_box(width - 0.04, depth - 0.05, 0.035, (0, -0.01, seat - 0.005), 0.016, 0.012),
                style.cloth_for(random),
            )
        )
    return pieces


def _padded_chair(random: np.random.Generator, style: Style) -> list[Piece]:
    """Upholstered seat and back on four legs or two sleds."""
    width, depth, seat = (
        float(random.uniform(0.44, 0.54)),
        float(random.uniform(0.44, 0.52)),
        float(random.uniform(0.45, 0.49)),
    )
    high, soft = float(random.uniform(0.36, 0.52)), style.cloth_for(random)
    pieces: list[Piece] = [(rounded_box(width, depth, 0.085, (0, 0, seat - 0.085), 0.035, 0.015), soft)]
    back = rounded_box(width * float(random.uniform(0.88, 1.0)), 0.07, high, (0, 0, 0), 0.032, steps=3)
    pieces.append(
        (
            _bowed(back, width, 0.04)
            .turned(-float(random.uniform(6, 12)), axis=0)
            .moved(y=depth / 2 - 0.06, z=seat - 0.05),
            soft,
        )
    )
    if random.random() < 0.3:
        legs = sled_legs(width * 0.92, depth * 0.94, seat - 0.08, 0.02)
        return [*pieces, (legs, style.metal)]
    legs = four_legs(random, width * 0.96, depth * 0.96, seat - 0.075, 0.036, float(random.uniform(0, 0.05)))
    return [*pieces, (legs, style.metal if random.random() < 0.4 else style.wood_for(random))]


def _bowed(shape: Shape, width: float, by_m: float) -> Shape:
    """A back that embraces: its sides come forward."""
    x = shape.vertices_m[:, 0] / (width / 2)
    shift = np.zeros_like(shape.vertices_m)
    shift[:, 1] = -by_m * x**2
    return shape.warped(shift)


def _shell_chair(random: np.random.Generator, style: Style) -> list[Piece]:
    """One moulded shell from the front edge over the seat up the back."""
    width, seat = float(random.uniform(0.44, 0.5)), float(random.uniform(0.43, 0.46))
    bend = np.array(
        [
            (-0.24, -0.02),
            (-0.225, 0.005),
            (-0.12, -0.005),
            (0.02, -0.012),
            (0.13, -0.002),
            (0.19, 0.05),
            (0.215, 0.13),
            (0.24, 0.25),
            (0.26, 0.36),
        ]
    )
    bend[:, 1] *= float(random.uniform(0.9, 1.15))
    share = np.array([0.86, 0.92, 1.0, 1.0, 0.98, 0.94, 0.92, 0.88, 0.7]) * width / 2
    curl = np.array([0.0, 0.01, 0.03, 0.045, 0.06, 0.075, 0.06, 0.045, 0.02]) * float(random.uniform(0.6, 1.3))
    s = np.linspace(-1, 1, 9)
    x = s[:, None] * share[None]
    depth_in = np.abs(s[:, None]) ** 2.5 * curl[None]
    lying = np.array([1, 1, 1, 1, 0.7, 0.35, 0.1, 0, 0])
    grid = np.stack([x, bend[None, :, 0] - depth_in * (1 - lying), seat + bend[None, :, 1] + depth_in * lying], axis=-1)
    shell = sheet(grid, 0.009)
    colored = style.upholstery if random.random() < 0.4 else style.wood_for(random)
    pieces: list[Piece] = [(shell, colored)]
    under = box(width * 0.5, 0.26, 0.02, (0, 0, seat - 0.045), 0.004)
    if random.random() < 0.35:
        post = lathe(
            [(0, 0), (0.22, 0), (0.22, 0.012), (0.03, 0.03), (0.022, 0.08), (0.022, seat - 0.04), (0, seat - 0.04)], 20
        )
        return [*pieces, (joined([post, under]), style.metal)]
    legs = four_legs(random, width * 0.96, 0.44, seat - 0.03, 0.03, 0.075)
    return [*pieces, (joined([legs, under]), style.wood_for(random) if random.random() < 0.6 else style.metal)]


def _round_back_chair(random: np.random.Generator, style: Style) -> list[Piece]:
    """A bent rail that serves as back and arms, on four straight legs."""
    width, depth, seat = float(random.uniform(0.5, 0.56)), 0.48, 0.45
    rail, wood = float(random.uniform(0.68, 0.76)), style.wood_for(random)
    t = np.linspace(-0.12 * np.pi, 1.12 * np.pi, 17)
    path = np.column_stack(
        [np.cos(t) * width / 2, np.sin(t) * depth * 0.5 - 0.02, rail + 0.05 * np.sin(t).clip(0) ** 2]
    )
    frame = [tube(path, 0.017, 8)]
    for s in (-1, 1):
        frame.append(
            tube(
                [
                    (s * width * 0.40, -depth * 0.38, 0),
                    (s * width * 0.45, -depth * 0.32, seat),
                    (s * width * 0.49, -0.06, rail),
                ],
                [0.013, 0.017, 0.012],
                8,
            )
        )
        frame.append(
            tube(
                [
                    (s * width * 0.38, depth * 0.46, 0),
                    (s * width * 0.34, depth * 0.36, seat),
                    (s * width * 0.36, depth * 0.32, rail + 0.03),
                ],
                [0.013, 0.018, 0.012],
                8,
            )
        )
    x = np.linspace(-width * 0.27, width * 0.27, 7)
    bow = depth * 0.47 - 0.10 * (x / x[-1]) ** 2
    splat = np.stack(
        [
            np.stack([x * share, bow - 0.035 * (1 - k), np.full(7, z)], -1)
            for k, (z, share) in enumerate([(rail - 0.02, 0.8), (rail + 0.06, 1.0)])
        ],
        1,
    )
    frame.append(sheet(splat, 0.016))
    seat_shape = rounded_box(width * 0.86, depth * 0.9, 0.04, (0, -0.015, seat - 0.03), 0.018, 0.012)
    rails = [box(width * 0.74, 0.02, 0.05, (0, s * depth * 0.33, seat - 0.07), 0.003) for s in (-1, 1)]
    return [(joined([*frame, *rails]), wood), (seat_shape, style.cloth_for(random))]


def office_chair(random: np.random.Generator, style: Style) -> Model:
    """Star base on castors, gas spring, padded seat and back, often with armrests."""
    seat, width = float(random.uniform(0.44, 0.52)), float(random.uniform(0.46, 0.52))
    dark, soft = black(), style.cloth_for(random) if random.random() < 0.5 else black()
    arms, castors = star_base(float(random.uniform(0.28, 0.33)), 0.13)
    column = lathe([(0, 0.09), (0.035, 0.09), (0.035, 0.2), (0.02, 0.2), (0.02, seat - 0.06), (0, seat - 0.06)], 10)
    pan = box(0.24, 0.26, 0.035, (0, 0, seat - 0.085), 0.008)
    high, is_mesh = float(random.uniform(0.42, 0.66)), random.random() < 0.4
    back = rounded_box(width * 0.94, 0.035 if is_mesh else 0.085, high, (0, 0, 0), 0.016 if is_mesh else 0.04, steps=3)
    tilt = float(random.uniform(6, 12))
    back = _bowed(back, width, 0.05).turned(-tilt, axis=0).moved(y=0.24, z=seat + 0.1)
    spine = tube(
        [
            (0, 0.08, seat - 0.07),
            (0, 0.25, seat - 0.05),
            (0, 0.28, seat + 0.08),
            (0, 0.285 + 0.1 * np.sin(np.radians(tilt)), seat + 0.3),
        ],
        0.02,
        8,
    )
    pieces: list[Piece] = [
        (joined([arms, column]), style.metal if random.random() < 0.5 else dark),
        (joined([castors, pan, spine]), dark),
        (rounded_box(width, 0.48, 0.08, (0, 0, seat - 0.055), 0.035, 0.02), soft),
        (back, soft),
    ]
    if random.random() < 0.75:
        rest = seat + float(random.uniform(0.18, 0.24))
        bars = [
            tube(
                [
                    (s * 0.1, 0.02, seat - 0.07),
                    (s * (width / 2 + 0.035), 0.02, seat - 0.06),
                    (s * (width / 2 + 0.04), 0.03, rest),
                ],
                0.013,
                6,
            )
            for s in (-1, 1)
        ]
        pads = [rounded_box(0.075, 0.25, 0.03, (s * (width / 2 + 0.04), 0.0, rest - 0.005), 0.013) for s in (-1, 1)]
        pieces.append((joined([*bars, *pads]), dark))
    return assemble("office-chair", "office-chair", CHAIR, pieces)


def armchair(random: np.random.Generator, style: Style) -> Model:
    kind = _lounge_chair if random.random() < 0.45 else _club_chair
    return assemble(f"armchair{kind.__name__.replace('_', '-')}", "armchair", CHAIR, kind(random, style))


def _club_chair(random: np.random.Generator, style: Style) -> list[Piece]:
    """All upholstery: thick arms, a wide seat."""
    arm, inner = float(random.uniform(0.11, 0.19)), float(random.uniform(0.5, 0.6))
    width, depth, seat = inner + 2 * arm, float(random.uniform(0.76, 0.88)), float(random.uniform(0.4, 0.46))
    foot, rest, top = (
        float(random.uniform(0.06, 0.14)),
        seat + float(random.uniform(0.14, 0.24)),
        seat + float(random.uniform(0.34, 0.5)),
    )
    soft = style.cloth_for(random)
    radius = min(0.07, arm * 0.42)
    body = rounded_box(inner + 0.02, depth - 0.1, seat - foot - 0.13, (0, 0.0, foot), 0.02)
    sides = [
        rounded_box(arm, depth - 0.06, rest - foot, (s * (inner + arm) / 2, -0.02, foot), radius, steps=3)
        for s in (-1, 1)
    ]
    back = rounded_box(width - 0.02, 0.19, top - foot, (0, depth / 2 - 0.12, foot), 0.07, steps=3)
    cushion = rounded_box(inner - 0.01, depth - 0.24, 0.15, (0, -0.09, seat - 0.14), 0.05, 0.025)
    bolster = (
        rounded_box(inner - 0.02, 0.15, top - seat - 0.02, (0, 0, 0), 0.06)
        .turned(-9, axis=0)
        .moved(y=depth / 2 - 0.29, z=seat)
    )
    legs = four_legs(random, width - 0.06, depth - 0.1, foot + 0.01, 0.04, 0.01)
    pieces = [(joined([body, *sides, back]), soft), (joined([cushion, bolster]), soft), (legs, style.wood_for(random))]
    return _with_pillow(random, style, pieces, depth, seat)


def _lounge_chair(random: np.random.Generator, style: Style) -> list[Piece]:
    """A wooden frame with loose cushions, as in the released renders."""
    width, depth, seat = (
        float(random.uniform(0.66, 0.76)),
        float(random.uniform(0.72, 0.82)),
        float(random.uniform(0.39, 0.44)),
    )
    rest, bar, wood, soft = (
        seat + float(random.uniform(0.16, 0.22)),
        0.042,
        style.wood_for(random),
        style.cloth_for(random),
    )
    frame: list[Shape] = []
    for s in (-1, 1):
        x = s * (width / 2 - bar / 2)
        frame.append(box(bar, bar, rest, bevel_m=0.006).tapered(0.6).moved(x, -depth / 2 + 0.06))
        frame.append(box(bar, bar, rest, bevel_m=0.006).tapered(0.6, 0, 0.08).moved(x, depth / 2 - 0.16))
        frame.append(rounded_box(bar * 1.5, depth - 0.06, 0.028, (x, -0.02, rest - 0.006), 0.012))
        frame.append(box(0.025, depth - 0.2, 0.06, (x, -0.04, seat - 0.17), 0.004))
    frame += [box(width - bar, 0.025, 0.06, (0, y, seat - 0.17), 0.004) for y in (-depth / 2 + 0.06, depth / 2 - 0.18)]
    high = float(random.uniform(0.44, 0.56))
    lean = float(random.uniform(14, 20))
    board = (
        box(width - 2 * bar - 0.02, 0.02, high, bevel_m=0.004)
        .turned(-lean, axis=0)
        .moved(y=depth / 2 - 0.2, z=seat - 0.14)
    )
    back = (
        rounded_box(width - 2 * bar - 0.03, 0.12, high, (0, 0, 0), 0.05, steps=3)
        .turned(-lean, axis=0)
        .moved(y=depth / 2 - 0.28, z=seat - 0.05)
    )
    cushion = rounded_box(width - 2 * bar - 0.02, depth - 0.2, 0.13, (0, -0.07, seat - 0.12), 0.045, 0.02)
    pieces = [(joined([*frame, board]), wood), (joined([cushion, back]), soft)]
    return _with_pillow(random, style, pieces, depth, seat)


def _with_pillow(
    random: np.random.Generator, style: Style, pieces: list[Piece], depth: float, seat: float
) -> list[Piece]:
    if random.random() < 0.5:
        shape = pillow(0.42, 0.4, 0.13).turned(68, axis=0)
        pieces.append(
            (shape.moved(y=depth / 2 - 0.42, z=seat + 0.02 - float(shape.vertices_m[:, 2].min())), style.accent)
        )
    return pieces


def stool(random: np.random.Generator, style: Style) -> Model:
    """Round or square, low or as high as a bar; or a pouf."""
    if random.random() < 0.35:
        radius, height = float(random.uniform(0.2, 0.3)), float(random.uniform(0.34, 0.44))
        body = lathe(
            [
                (0, 0),
                (radius * 0.92, 0),
                (radius, 0.05),
                (radius, height - 0.07),
                (radius * 0.93, height - 0.02),
                (radius * 0.7, height),
                (0, height + 0.015),
            ],
            24,
        )
        return assemble("pouf", "stool", CHAIR, [(body, style.cloth_for(random))])
    height, radius = float(random.choice([0.44, 0.46, 0.62, 0.72])), float(random.uniform(0.16, 0.2))
    side = radius * 1.3 + 0.1
    legs = four_legs(random, side, side, height - 0.025, 0.03, 0.04)
    seat = cylinder(radius, 0.035, (0, 0, height - 0.035), 24, 0.008)
    ring = tube(
        [
            (np.cos(a) * radius * 0.96, np.sin(a) * radius * 0.96, height * 0.35)
            for a in np.linspace(0, 2 * np.pi, 17)[:-1]
        ],
        0.008,
        6,
    )
    material = style.wood_for(random) if random.random() < 0.6 else style.metal
    pieces: list[Piece] = [(joined([legs, ring]), material), (seat, style.wood_for(random))]
    if random.random() < 0.4:
        pieces.append((cylinder(radius * 0.96, 0.03, (0, 0, height - 0.004), 24, 0.014), style.cloth_for(random)))
    return assemble("stool", "stool", CHAIR, pieces)
