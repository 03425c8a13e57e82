"""Beds: frame, mattress, headboard, pillows and a blanket that hangs over. The head lies towards +y."""

import numpy as np

from panoptic3d.rooms.furniture.assemble import Piece, assemble
from panoptic3d.rooms.meshes.shapes import Shape, box, cylinder, extruded, joined, pillow, rounded_box, sheet, upright
from panoptic3d.rooms.render.materials import Style, cloth, linear
from panoptic3d.rooms.scene import Material, Model
from panoptic3d.structures.taxonomy import BED

_LINEN = Material(linear((236, 234, 228)), "cloth", linear((224, 222, 216)), 0.02, 0.95)


def double_bed(random: np.random.Generator, style: Style) -> Model:
    return _bed(random, style, "double-bed", float(random.choice([1.4, 1.6, 1.8])), 2)


def single_bed(random: np.random.Generator, style: Style) -> Model:
    return _bed(random, style, "single-bed", float(random.choice([0.9, 1.0, 1.2])), 1)


def _bed(random: np.random.Generator, style: Style, role: str, width: float, num_pillows: int) -> Model:
    length = float(random.choice([1.95, 2.0, 2.1]))
    rail_top, thick = float(random.uniform(0.26, 0.36)), float(random.uniform(0.18, 0.26))
    frame, soft = style.wood_for(random), style.cloth_for(random)
    pieces = _frame(random, width, length, rail_top, soft if random.random() < 0.35 else frame)
    pieces += [(rounded_box(width, length, thick, (0, 0, rail_top - 0.06), 0.05), _LINEN)]
    top = rail_top - 0.06 + thick
    pieces += _pillows(random, width, length, top, num_pillows)
    pieces.append((_blanket(random, width, length, top, float(random.uniform(0.1, 0.24))), cloth(random)))
    pieces += _headboard(random, width + 0.1, length / 2 + 0.012, frame, soft)
    return assemble(f"{role}-{width:.1f}", role, BED, pieces)


def _frame(random: np.random.Generator, width: float, length: float, top: float, material: Material) -> list[Piece]:
    """Rails on feet, or a box to the floor."""
    foot = float(random.uniform(0.08, 0.16)) if random.random() < 0.7 else 0.0
    rails = box(width + 0.06, length + 0.04, top - max(foot, 0.02), (0, 0, max(foot, 0.02)), 0.012)
    if foot == 0.0:
        return [(rails, material), (box(width - 0.05, length - 0.05, 0.03), material)]
    x, y = width / 2 - 0.05, length / 2 - 0.06
    feet = [cylinder(0.028, foot + 0.01, (sx * x, sy * y, 0), 10) for sx in (-1, 1) for sy in (-1, 1)]
    return [(rails, material), (joined(feet), material)]


def _headboard(random: np.random.Generator, width: float, y: float, wood: Material, soft: Material) -> list[Piece]:
    height = float(random.uniform(0.85, 1.2))
    match int(random.integers(5)):
        case 0:
            return [(box(width, 0.04, height, (0, y + 0.02, 0), 0.01), wood)]
        case 1:  # upholstered, in upright channels
            count = int(random.integers(2, 7))
            back = box(width, 0.05, height, (0, y + 0.055, 0), 0.01)
            part = width / count
            channels = [
                rounded_box(part - 0.004, 0.07, height - 0.3, ((k + 0.5) * part - width / 2, y + 0.03, 0.29), 0.03)
                for k in range(count)
            ]
            return [(joined([back, *channels]), soft)]
        case 2:  # slats between posts
            posts = [box(0.06, 0.05, height, (s * (width / 2 - 0.03), y + 0.025, 0), 0.006) for s in (-1, 1)]
            rails = [box(width - 0.12, 0.035, 0.08, (0, y + 0.025, z), 0.006) for z in (0.35, height - 0.1)]
            xs = np.linspace(-width / 2 + 0.14, width / 2 - 0.14, int(width / 0.12))
            slats = [box(0.03, 0.02, height - 0.53, (float(x), y + 0.025, 0.43)) for x in xs]
            return [(joined([*posts, *rails, *slats]), wood)]
        case 3:  # a curved board
            t = np.linspace(0, np.pi, 15)
            arc = np.column_stack([np.cos(t) * width / 2, height - 0.22 + 0.22 * np.sin(t) ** 0.8])
            outline = np.concatenate([[(-width / 2, 0.0), (width / 2, 0.0)], arc])
            return [(upright(extruded(outline, 0.045, 0.008)).moved(y=y + 0.045), wood)]
        case _:  # one thick cushion
            return [(rounded_box(width, 0.11, height, (0, y + 0.06, 0), 0.05, steps=3), soft)]


def _pillows(random: np.random.Generator, width: float, length: float, top: float, count: int) -> list[Piece]:
    pieces: list[Piece] = []
    size = min(0.68, width / count - 0.06)
    for k in range(count):
        x = (k + 0.5) * width / count - width / 2
        tilt = float(random.uniform(8, 18))
        shape = (
            pillow(size, 0.42, float(random.uniform(0.12, 0.17)))
            .turned(tilt, axis=0)
            .turned(float(random.normal(0, 3)))
        )
        pieces.append((_set_down(shape, top - 0.02).moved(x, length / 2 - 0.26), _LINEN))
    if random.random() < 0.5:  # one in colour before them
        shape = pillow(0.46, 0.42, 0.13).turned(float(random.uniform(28, 48)), axis=0)
        pieces.append(
            (_set_down(shape, top - 0.02).moved(float(random.normal(0, 0.08)), length / 2 - 0.55), cloth(random))
        )
    return pieces


def _set_down(shape: Shape, z: float) -> Shape:
    return shape.moved(z=z - float(shape.vertices_m[:, 2].min()))


def _blanket(random: np.random.Generator, width: float, length: float, top: float, hang: float) -> Shape:
    """From the foot towards the pillows, hanging down on both sides and at the foot with soft folds."""
    reach = float(random.uniform(0.6, 0.72)) * length
    half, edge = width / 2 + 0.05, 0.05  # outside of the rails
    across = _lines((-1 - hang, -1, 5), (-1, -0.9, 3), (-0.9, 0.9, 9), (0.9, 1, 3), (1, 1 + hang, 5))
    along = _lines((-hang, 0, 4), (0, 0.1, 3), (0.1, reach, 9))
    s, t = np.meshgrid(across, along, indexing="ij")
    side, foot = (np.abs(s) - 1).clip(0), (-t).clip(0)
    x = np.sign(s) * np.minimum(np.abs(s), 1) * half
    y = -length / 2 - 0.04 + t.clip(0)
    corner = np.minimum((1 - np.abs(s)).clip(0) * half, t.clip(0)).clip(0, edge)
    z = top + 0.022 - (edge - np.sqrt((2 * edge - corner) * corner).clip(0, edge)) * 0.6 - np.maximum(side, foot)
    phase, wave = random.uniform(0, 6, 4), 0.008
    drape = np.maximum(side, foot) / max(hang, 0.05)
    x = x + np.sign(s) * wave * drape * (1 + np.sin(t * 19 + phase[0]))
    y = y - wave * drape * (1 + np.sin(s * 14 + phase[1])) * (foot > 0)
    z = z + 0.006 * np.sin(s * 5 + phase[2]) * np.sin(t * 6 + phase[3]) * (1 - drape.clip(0, 1))
    return sheet(np.stack([x, y, z], axis=-1), 0.012)


def _lines(*pieces: tuple[float | int, float | int, int]) -> np.ndarray:
    """Evenly spaced numbers, piece by piece; the end of one is the start of the next."""
    return np.unique(np.concatenate([np.linspace(*piece) for piece in pieces]).round(12))


def bunk_bed(random: np.random.Generator, style: Style) -> Model:
    width, length, height = 0.9, 2.0, float(random.uniform(1.5, 1.7))
    wood, post = style.wood_for(random), 0.07
    x, y = width / 2 + post / 2, length / 2 + post / 2
    posts = [box(post, post, height, (sx * x, sy * y, 0), 0.006) for sx in (-1, 1) for sy in (-1, 1)]
    decks, soft = [], []
    for z in (0.3, height - 0.45):
        decks.append(box(width, length, 0.04, (0, 0, z)))
        decks += [box(0.025, length, 0.14, (s * x, 0, z - 0.05), 0.004) for s in (-1, 1)]
        decks += [box(width, 0.025, 0.14, (0, s * y, z - 0.05), 0.004) for s in (-1, 1)]
        soft.append((rounded_box(width - 0.03, length - 0.03, 0.16, (0, 0, z + 0.04), 0.04), _LINEN))
        soft.append((pillow(0.6, 0.38, 0.12).moved(0, length / 2 - 0.28, z + 0.19), _LINEN))
        soft.append(
            (rounded_box(width - 0.01, length * 0.6, 0.05, (0, -length * 0.19, z + 0.18), 0.024), cloth(random))
        )
    guard = [box(0.02, length * 0.98, 0.06, (s * x, 0, height - zr), 0.004) for s in (-1, 1) for zr in (0.07,)]
    ends = [box(width, 0.02, 0.06, (0, s * y, height - 0.07), 0.004) for s in (-1, 1)]
    rungs = [
        box(0.025, 0.34, 0.035, (-x - post / 2 - 0.0125, -length / 2 + 0.25, z))
        for z in np.arange(0.2, height - 0.3, 0.26)
    ]
    rails = [
        box(0.025, 0.04, height - 0.05, (-x - post / 2 - 0.0125, -length / 2 + 0.25 + s * 0.19, 0), 0.004)
        for s in (-1, 1)
    ]
    return assemble(
        "bunk-bed", "bunk-bed", BED, [(joined([*posts, *decks, *guard, *ends, *rungs, *rails]), wood), *soft]
    )
