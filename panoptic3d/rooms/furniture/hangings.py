"""What hangs or lies flat: pictures, mirrors, clocks, curtains, televisions, rugs. Backs lie at the largest y."""

import numpy as np

from panoptic3d.rooms.furniture.assemble import Piece, assemble
from panoptic3d.rooms.meshes.shapes import Shape, ball, box, cylinder, extruded, frame, joined, rounded_box, sheet, tube
from panoptic3d.rooms.render.materials import Style, black, bright, cloth
from panoptic3d.rooms.scene import Material, Model
from panoptic3d.structures.taxonomy import OTHER


def picture(random: np.random.Generator, style: Style) -> Model:
    """A painted panel in a frame, mostly with a mat around it."""
    width, height = float(random.uniform(0.35, 1.0)), float(random.uniform(0.35, 0.8))
    bar, depth = float(random.uniform(0.015, 0.045)), float(random.uniform(0.018, 0.03))
    mat = float(random.uniform(0.03, 0.08)) if random.random() < 0.6 else 0.0
    border = frame(width, height, bar, depth)
    panel = box(width - 2 * bar, 0.006, height - 2 * bar, (0, -0.006, bar))
    inner_w, inner_h = width - 2 * (bar + mat), height - 2 * (bar + mat)
    art = _unit_mapped(box(inner_w, 0.002, inner_h, (0, -0.0105, bar + mat)), inner_w, inner_h)
    first, second = bright(random), bright(random)
    paint = Material(first.color, "picture", second.color, 1.0, 0.7, seed=int(random.integers(2**31)))
    paper = Material((0.82, 0.81, 0.78), roughness=0.9)
    material = black() if random.random() < 0.3 else style.metal if random.random() < 0.3 else style.wood_for(random)
    return assemble("picture", "picture", OTHER, [(border, material), (panel, paper), (art, paint)])


def _unit_mapped(shape: Shape, width: float, height: float) -> Shape:
    """One repeat of the texture over the whole front: `u` and `v` from 0 to 1 from the lower left corner."""
    corners = shape.vertices_m[shape.triangles]
    low = shape.vertices_m.min(axis=0)
    uv = np.stack([(corners[..., 0] - low[0]) / width, (corners[..., 2] - low[2]) / height], axis=-1)
    return Shape(shape.vertices_m, shape.triangles, uv)


def mirror(random: np.random.Generator, style: Style) -> Model:
    width, height = float(random.uniform(0.4, 0.7)), float(random.uniform(0.6, 1.1))
    silver = Material((0.9, 0.9, 0.9), roughness=0.03, metallic=1.0)
    pane = box(width - 0.04, 0.008, height - 0.04, (0, -0.008, 0.02))
    return assemble("mirror", "mirror", OTHER, [(frame(width, height, 0.025, 0.025), style.metal), (pane, silver)])


def clock(random: np.random.Generator, style: Style) -> Model:
    radius = float(random.uniform(0.12, 0.2))
    face = cylinder(radius * 0.94, 0.02, segments=32).turned(90, axis=0)
    rim_path = [(radius * np.cos(a), -0.012, radius * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 33)]
    rim = tube(rim_path, 0.012, 6)
    hands = [
        box(0.008, 0.003, length, (0, -0.0225, 0)).turned(float(random.uniform(0, 360)), axis=1)
        for length in (radius * 0.5, radius * 0.75)
    ]
    pieces: list[Piece] = [
        (face, Material((0.85, 0.85, 0.82), roughness=0.5)),
        (rim, style.metal),
        (joined(hands), black()),
    ]
    return assemble("clock", "clock", OTHER, pieces)


def curtain(
    random: np.random.Generator, style: Style, width_m: float = 1.4, height_m: float = 2.2, opening: float = 0.6
) -> Model:
    """A pair on one rod; `opening` is the share of the width that stays free. The rod's brackets reach the wall."""
    is_sheer = random.random() < 0.2
    panel = width_m * (1 - opening) / 2
    soft = cloth(random)
    shapes = []
    for s in (-1, 1):
        folds = max(3, round(panel / 0.075))
        u = np.linspace(0, 1, folds * 6 + 1)
        v = np.linspace(0, 1, 5)
        phase = random.uniform(0, 6)
        wave = np.sin(u * folds * 2 * np.pi + phase)[:, None] * (0.022 + 0.012 * (1 - v))[None]
        gather = 1 - 0.06 * np.sin(np.pi * v)[None]
        x = s * (width_m / 2 - panel * (u[:, None] if s > 0 else u[::-1, None]) * gather)
        x = np.sort(x, axis=0)
        grid = np.stack([x, -0.075 + wave, np.broadcast_to(v[None] * (height_m - 0.03), x.shape)], axis=-1)
        shapes.append(sheet(grid, 0.006 if is_sheer else 0.009))
    z = height_m - 0.012
    rod = tube([(-width_m / 2 - 0.08, -0.075, z), (width_m / 2 + 0.08, -0.075, z)], 0.012, 8)
    ends = [ball(0.022, (s * (width_m / 2 + 0.08), -0.075, z), 8) for s in (-1, 1)]
    brackets = [box(0.015, 0.075, 0.015, (s * (width_m / 2 + 0.04), -0.0375, z - 0.007)) for s in (-1, 1)]
    pieces: list[Piece] = [(joined(shapes), soft), (joined([rod, *ends, *brackets]), style.metal)]
    return assemble("curtain", "curtain", OTHER, pieces)


def television(random: np.random.Generator, style: Style) -> Model:
    """On its own foot or two feet."""
    diagonal = float(random.uniform(0.9, 1.5))
    width, height = diagonal * 0.872, diagonal * 0.49
    lift, dark = float(random.uniform(0.05, 0.09)), black()
    body = box(width, 0.035, height, (0, 0, lift), 0.006)
    hump = box(width * 0.5, 0.03, height * 0.5, (0, 0.03, lift + height * 0.2), 0.01)
    screen = box(width - 0.02, 0.003, height - 0.026, (0, -0.0185, lift + 0.014))
    if random.random() < 0.5:
        feet = [box(0.02, 0.2, 0.012, (s * width * 0.36, 0, 0), 0.003) for s in (-1, 1)]
        feet += [box(0.016, 0.024, lift, (s * width * 0.36, 0, 0.008)) for s in (-1, 1)]
    else:
        feet = [
            rounded_box(width * 0.4, 0.2, 0.014, (0, 0, 0), 0.006),
            box(0.08, 0.03, lift + 0.02, (0, 0.01, 0.008), 0.004),
        ]
    pane = Material((0.006, 0.006, 0.008), roughness=0.12)
    return assemble("television", "television", OTHER, [(joined([body, hump, *feet]), dark), (screen, pane)])


def wall_television(random: np.random.Generator, style: Style) -> Model:
    diagonal = float(random.uniform(1.0, 1.6))
    width, height = diagonal * 0.872, diagonal * 0.49
    body = box(width, 0.04, height, (0, -0.05, 0), 0.006)
    mount = box(0.3, 0.032, 0.3, (0, -0.016, height / 2 - 0.15))
    screen = box(width - 0.02, 0.003, height - 0.026, (0, -0.0705, 0.014))
    pane = Material((0.006, 0.006, 0.008), roughness=0.12)
    return assemble("wall-television", "wall-television", OTHER, [(joined([body, mount]), black()), (screen, pane)])


def rug(random: np.random.Generator, style: Style, width_m: float = 0.0, depth_m: float = 0.0) -> Model:
    """8 mm thin; round, or a rectangle with a border."""
    width, depth = width_m or float(random.uniform(1.4, 2.4)), depth_m or float(random.uniform(1.0, 1.7))
    first, second = cloth(random), cloth(random)
    kind = str(random.choice(["carpet", "carpet", "stripes", "cloth"]))
    scale = float(random.uniform(0.12, 0.4)) if kind == "stripes" else 0.05
    pile = Material(first.color, kind, second.color, round(scale, 3), 1.0, seed=int(random.integers(2**31)))  # pyright: ignore[reportArgumentType]
    if not width_m and random.random() < 0.25:
        turn = np.linspace(0, 2 * np.pi, 41)[:-1]
        disc = extruded(np.column_stack([np.cos(turn), np.sin(turn)]) * (width + depth) / 4, 0.008, 0.003)
        return assemble("rug-round", "rug", OTHER, [(disc, pile)])
    if random.random() < 0.4:
        edge = 0.1
        inner = box(width - 2 * edge, depth - 2 * edge, 0.008, bevel_m=0.002)
        rim = [box(width, edge, 0.008, (0, s * (depth - edge) / 2, 0), 0.002) for s in (-1, 1)]
        rim += [box(edge, depth - 2 * edge, 0.008, (s * (width - edge) / 2, 0, 0), 0.002) for s in (-1, 1)]
        plain = Material(second.color, "carpet", first.color, 0.05, 1.0)
        return assemble("rug", "rug", OTHER, [(inner, pile), (joined(rim), plain)])
    return assemble("rug", "rug", OTHER, [(box(width, depth, 0.008, bevel_m=0.003), pile)])
