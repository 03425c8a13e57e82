"""Small things that stand on others."""

import numpy as np

from panoptic3d.rooms.furniture.assemble import Piece, assemble
from panoptic3d.rooms.furniture.hangings import picture
from panoptic3d.rooms.furniture.plants import leaves
from panoptic3d.rooms.meshes.shapes import Shape, ball, box, cylinder, joined, lathe, rounded_box, tube
from panoptic3d.rooms.render.materials import Style, black, bright, ceramic, glass, leaf, wood
from panoptic3d.rooms.scene import Material, Model
from panoptic3d.structures.taxonomy import OTHER


def vase(random: np.random.Generator, style: Style) -> Model:
    """A turned vessel, sometimes with twigs."""
    height, radius = float(random.uniform(0.14, 0.34)), float(random.uniform(0.045, 0.09))
    z = np.linspace(0, 1, 9)
    bend = float(random.uniform(0.5, 1.8))
    neck = float(random.uniform(0.3, 0.7))
    outer = radius * (neck + (1 - neck) * np.sin(np.pi * (0.15 + 0.75 * z**bend)))
    wall = [(float(r), float(h)) for r, h in zip(outer, z * height, strict=True)]
    inside = [(max(r - 0.005, 0.004), h) for r, h in wall[:5:-1]]
    pieces: list[Piece] = [
        (lathe([(0, 0), *wall, *inside, (0, inside[-1][1])], 20), ceramic(random) if random.random() < 0.8 else glass())
    ]
    if random.random() < 0.5:
        n = int(random.integers(4, 9))
        turn, lean = random.uniform(0, 6.28, n), random.uniform(0.1, 0.4, n)
        rise = height * random.uniform(0.6, 1.3, n)
        base = float(inside[-1][1]) + 0.002
        ends = np.column_stack([np.cos(turn) * lean * rise, np.sin(turn) * lean * rise, height + rise])
        throat = min(r for r, _ in inside) * 0.5
        stems = [
            tube(
                [
                    (float(np.cos(a)) * throat * 0.5, float(np.sin(a)) * throat * 0.5, base),
                    (float(np.cos(a)) * throat, float(np.sin(a)) * throat, height),
                    tuple(e),
                ],
                0.0025,
                5,
            )
            for a, e in zip(turn, ends, strict=True)
        ]
        starts = np.concatenate([ends * (share, share, 1) - (0, 0, (1 - share) * 0.12) for share in (0.75, 0.9, 1.0)])
        heading = np.column_stack([random.normal(0, 1, (len(starts), 2)), np.full(len(starts), 0.5)])
        size = random.uniform(0.04, 0.07, len(starts))
        green = leaf(random)
        pieces += [
            (joined(stems), green),
            (
                leaves(starts, heading, size, size * 0.5, np.full(len(starts), 0.2)),
                green if random.random() < 0.5 else bright(random),
            ),
        ]
    return assemble("vase", "vase", OTHER, pieces)


def bowl(random: np.random.Generator, style: Style) -> Model:
    """Empty or with fruit."""
    radius, height = float(random.uniform(0.09, 0.16)), float(random.uniform(0.05, 0.09))
    t = 0.006
    profile = [
        (0, 0),
        (radius * 0.45, 0),
        (radius * 0.5, 0.008),
        (radius * 0.8, height * 0.45),
        (radius, height),
        (radius - t, height),
        (radius * 0.76, height * 0.5),
        (radius * 0.4, 0.014),
        (0, 0.012),
    ]
    pieces: list[Piece] = [(lathe(profile, 24), ceramic(random) if random.random() < 0.6 else wood(random))]
    if random.random() < 0.6:
        size = radius * 0.3
        low = max(height * 0.62, size + 0.016)
        spots = [
            (0.0, 0.0, low + size * 1.1),
            *((0.38 * radius * np.cos(a), 0.38 * radius * np.sin(a), low) for a in (0.3, 2.4, 4.5)),
        ]
        color = Material(
            ((0.55, 0.2, 0.03), (0.42, 0.03, 0.02), (0.25, 0.4, 0.05))[int(random.integers(3))], roughness=0.4
        )
        pieces.append((joined([ball(size, (float(x), float(y), float(z)), 10) for x, y, z in spots]), color))
    return assemble("bowl", "bowl", OTHER, pieces)


def book_stack(random: np.random.Generator, style: Style) -> Model:
    """Two to five books lying on each other."""
    pieces, z = [], 0.0
    width, depth = float(random.uniform(0.2, 0.28)), float(random.uniform(0.15, 0.2))
    for _ in range(int(random.integers(2, 6))):
        thick, turn = float(random.uniform(0.015, 0.04)), float(random.normal(0, 7))
        shrink = float(random.uniform(0.85, 1.0))
        w, d, cover = width * shrink, depth * shrink, bright(random)
        boards = [
            box(w, d, 0.003, (0, 0, 0)),
            box(w, d, 0.003, (0, 0, thick - 0.003)),
            box(w, 0.004, thick - 0.006, (0, -d / 2 + 0.002, 0.003)),
        ]
        pages = box(w - 0.008, d - 0.01, thick - 0.006, (0, 0.002, 0.003))
        pieces += [
            (joined(boards).turned(turn).moved(z=z), cover),
            (pages.turned(turn).moved(z=z), Material((0.8, 0.77, 0.68), roughness=1.0)),
        ]
        z += thick
    return assemble("book-stack", "book-stack", OTHER, pieces)


def storage_box(random: np.random.Generator, style: Style) -> Model:
    """A lidded box or an open basket."""
    width, depth, height = (
        float(random.uniform(0.2, 0.38)),
        float(random.uniform(0.16, 0.28)),
        float(random.uniform(0.1, 0.22)),
    )
    soft = style.cloth_for(random)
    if random.random() < 0.5:
        body, lid = (
            box(width, depth, height - 0.03, bevel_m=0.003),
            box(width + 0.008, depth + 0.008, 0.045, (0, 0, height - 0.045), 0.003),
        )
        return assemble("storage-box", "storage-box", OTHER, [(joined([body, lid]), bright(random))])
    t = 0.012
    sides = [box(width, t, height, (0, s * (depth - t) / 2, 0), 0.004) for s in (-1, 1)]
    sides += [box(t, depth - 2 * t, height, (s * (width - t) / 2, 0, 0), 0.004) for s in (-1, 1)]
    return assemble("basket", "storage-box", OTHER, [(joined([*sides, box(width - t, depth - t, 0.01)]), soft)])


def cup(random: np.random.Generator, style: Style) -> Model:
    radius, height = float(random.uniform(0.035, 0.045)), float(random.uniform(0.08, 0.11))
    t = 0.004
    body = lathe(
        [
            (0, 0),
            (radius * 0.85, 0),
            (radius, 0.01),
            (radius, height),
            (radius - t, height),
            (radius - t, 0.012),
            (0, 0.01),
        ],
        16,
    )
    a = np.linspace(-1.25, 1.25, 8)
    ear = tube(
        np.column_stack([radius * 0.94 + np.cos(a) * 0.026 - 0.004, 0 * a, height * 0.52 + np.sin(a) * height * 0.26]),
        0.0045,
        6,
    )
    return assemble("cup", "cup", OTHER, [(joined([body, ear]), ceramic(random))])


def candles(random: np.random.Generator, style: Style) -> Model:
    """One to three on small plates."""
    shapes, plates, wax = [], [], Material((0.82, 0.78, 0.68), roughness=0.5)
    for k in range(int(random.integers(1, 4))):
        x, y = 0.1 * k, float(random.normal(0, 0.015))
        plates.append(cylinder(0.042, 0.01, (x, y, 0), 18, 0.003))
        shapes.append(cylinder(0.026, float(random.uniform(0.07, 0.2)), (x, y, 0.01), 14, 0.004))
    return assemble("candles", "candles", OTHER, [(joined(plates), style.metal), (joined(shapes), wax)])


def photo_frame(random: np.random.Generator, style: Style) -> Model:
    """A small picture that leans back on its stand."""
    source = picture(random, style)
    scale = float(random.uniform(0.16, 0.26)) / max(source.size_m[0], source.size_m[2])
    vertices = source.mesh.vertices_m.astype(np.float64) * (scale, 0.5, scale)
    tilt = np.radians(14.0)
    leaning = np.column_stack(
        [
            vertices[:, 0],
            vertices[:, 1] * np.cos(tilt) + vertices[:, 2] * np.sin(tilt),
            vertices[:, 2] * np.cos(tilt) - vertices[:, 1] * np.sin(tilt),
        ]
    )
    high = float(leaning[:, 2].max())
    mesh = source.mesh
    assert mesh.uv_m is not None
    pieces: list[Piece] = []
    for index, material in enumerate(source.materials):
        chosen = mesh.triangles[mesh.material_of == index]
        used, renumbered = np.unique(chosen, return_inverse=True)
        pieces.append(
            (
                Shape(
                    leaning[used],
                    renumbered.reshape(-1, 3).astype(np.int32),
                    mesh.uv_m[mesh.material_of == index].astype(np.float64),
                ),
                material,
            )
        )
    y = float(leaning[:, 1].max())
    leg = tube([(0, y * 0.6 + 0.008, high * 0.55), (0, y + 0.05, 0.004)], 0.004, 6)
    return assemble("photo-frame", "photo-frame", OTHER, [*pieces, (leg, black())])


def laptop(random: np.random.Generator, style: Style) -> Model:
    width, depth, lean = (
        float(random.uniform(0.3, 0.36)),
        float(random.uniform(0.21, 0.25)),
        float(random.uniform(12, 28)),
    )
    metal = Material((0.42, 0.43, 0.45) if random.random() < 0.6 else (0.03, 0.03, 0.035), roughness=0.35)
    base = box(width, depth, 0.014, bevel_m=0.003)
    keys = box(width * 0.86, depth * 0.45, 0.002, (0, depth * 0.16, 0.0135))
    lid = box(width, 0.006, depth, bevel_m=0.002).turned(-lean, axis=0).moved(y=depth / 2 - 0.002, z=0.012)
    screen = (
        box(width - 0.016, 0.002, depth - 0.02, (0, -0.0038, 0.01))
        .turned(-lean, axis=0)
        .moved(y=depth / 2 - 0.002, z=0.012)
    )
    return assemble("laptop", "laptop", OTHER, [(joined([base, lid]), metal), (joined([keys, screen]), black())])


def monitor(random: np.random.Generator, style: Style) -> Model:
    width, height = float(random.uniform(0.5, 0.64)), float(random.uniform(0.3, 0.37))
    lift = float(random.uniform(0.08, 0.14))
    body = box(width, 0.03, height, (0, 0, lift), 0.005)
    foot = rounded_box(0.22, 0.18, 0.012, (0, 0.02, 0), 0.005)
    neck = box(0.05, 0.03, lift + 0.1, (0, 0.025, 0.008), 0.004)
    screen = box(width - 0.014, 0.002, height - 0.02, (0, -0.0156, lift + 0.012))
    pane = Material((0.008, 0.009, 0.012), roughness=0.15)
    return assemble("monitor", "monitor", OTHER, [(joined([body, foot, neck]), black()), (screen, pane)])


def toy(random: np.random.Generator, style: Style) -> Model:
    """A plush animal that sits: ball head, round body, limbs."""
    s = float(random.uniform(0.7, 1.3))
    fur, pale = bright(random), Material((0.7, 0.62, 0.5), roughness=1.0)
    body = lathe([(0, 0), (0.055, 0.002), (0.075, 0.05), (0.06, 0.11), (0.03, 0.14), (0, 0.145)], 14)
    head = ball(0.055, (0, -0.01, 0.175), 14)
    ears = [ball(0.02, (t * 0.042, 0, 0.215), 8) for t in (-1, 1)]
    legs = [tube([(t * 0.04, -0.03, 0.026), (t * 0.065, -0.12, 0.026)], 0.025, 8) for t in (-1, 1)]
    arms = [tube([(t * 0.05, -0.01, 0.115), (t * 0.085, -0.05, 0.065)], 0.018, 8) for t in (-1, 1)]
    whole = joined([body, head, *ears, *legs, *arms])
    snout = ball(0.022, (0, -0.058, 0.165), 8)
    pieces = [(shape.warped(shape.vertices_m * (s - 1)), material) for shape, material in ((whole, fur), (snout, pale))]
    return assemble("toy", "toy", OTHER, pieces)
