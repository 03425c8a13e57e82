"""Sofas, straight or with a chaise, and benches; their front towards -y."""

from dataclasses import dataclass

import numpy as np

from panoptic3d.rooms.furniture.assemble import Piece, assemble, four_legs
from panoptic3d.rooms.meshes.shapes import Shape, box, joined, pillow, rounded_box
from panoptic3d.rooms.render.materials import Style, cloth
from panoptic3d.rooms.scene import Model
from panoptic3d.structures.taxonomy import SOFA


@dataclass(frozen=True)
class _Measures:
    """Measures of one sofa, in metres."""

    seats: int
    cell: float  # width of one seat
    arm: float
    depth: float
    seat: float  # height of the seat
    top: float
    rest: float  # height of the arms
    foot: float
    radius: float

    @property
    def width(self) -> float:
        return self.seats * self.cell + 2 * self.arm

    @classmethod
    def drawn(cls, random: np.random.Generator, seats: int) -> "_Measures":
        seat, arm = float(random.uniform(0.40, 0.46)), float(random.uniform(0.1, 0.24))
        return cls(
            seats,
            float(random.uniform(0.58, 0.76)),
            arm,
            float(random.uniform(0.82, 0.98)),
            seat,
            seat + float(random.uniform(0.32, 0.46)),
            seat + float(random.uniform(0.08, 0.24)),
            float(random.uniform(0.05, 0.16)),
            min(float(random.uniform(0.02, 0.09)), arm * 0.45),
        )


def sofa(random: np.random.Generator, style: Style) -> Model:
    m = _Measures.drawn(random, int(random.choice([2, 2, 3, 3, 3, 4])))
    soft = style.upholstery if random.random() < 0.7 else style.cloth_for(random)
    pieces: list[Piece] = [(joined([*_body(m), *_cushions(random, m)]), soft)]
    pieces.append(
        (four_legs(random, m.width - 0.08, m.depth - 0.12, m.foot + 0.01, 0.045, 0.015), style.wood_for(random))
    )
    return assemble(f"sofa-{m.seats}", "sofa", SOFA, [*pieces, *_throw_pillows(random, style, m)])


def corner_sofa(random: np.random.Generator, style: Style) -> Model:
    """A straight one whose last seat reaches forward; the chaise lies left or right."""
    m = _Measures.drawn(random, int(random.choice([2, 3])))
    soft = style.upholstery if random.random() < 0.7 else style.cloth_for(random)
    side, reach = (-1 if random.random() < 0.5 else 1), float(random.uniform(0.5, 0.75))
    x = side * (m.width / 2 - m.arm - m.cell / 2)
    base = rounded_box(
        m.cell - 0.004, reach + 0.05, m.seat - 0.13 - m.foot, (x, -m.depth / 2 - reach / 2 + 0.05, m.foot), 0.02
    )
    soft_top = rounded_box(
        m.cell - 0.008, reach + 0.06, 0.15, (x, -m.depth / 2 - reach / 2 + 0.05, m.seat - 0.14), 0.05, 0.015
    )
    pieces: list[Piece] = [(joined([*_body(m), *_cushions(random, m), base, soft_top]), soft)]
    legs = four_legs(random, m.width - 0.08, m.depth - 0.12, m.foot + 0.01, 0.045)
    foot = box(0.045, 0.045, m.foot + 0.01)
    y = -m.depth / 2 - reach + 0.12
    feet = [foot.moved(x + s * (m.cell / 2 - 0.06), y) for s in (-1, 1)]
    pieces.append((joined([legs, *feet]), style.wood_for(random)))
    return assemble(f"corner-sofa-{m.seats}", "corner-sofa", SOFA, [*pieces, *_throw_pillows(random, style, m)])


def _body(m: _Measures) -> list[Shape]:
    """Base, arms and the back behind the cushions."""
    inner = m.seats * m.cell
    base = rounded_box(inner + 0.03, m.depth - 0.06, m.seat - 0.13 - m.foot, (0, 0.02, m.foot), 0.02)
    arms = [
        rounded_box(m.arm, m.depth, m.rest - m.foot, (s * (inner + m.arm) / 2, 0, m.foot), m.radius, steps=3)
        for s in (-1, 1)
    ]
    back = rounded_box(
        inner + 0.03, 0.2, m.top - 0.08 - m.foot, (0, m.depth / 2 - 0.1, m.foot), min(m.radius + 0.02, 0.09), steps=3
    )
    return [base, *arms, back]


def _cushions(random: np.random.Generator, m: _Measures) -> list[Shape]:
    lean, shapes = float(random.uniform(8, 14)), []
    num_backs = m.seats if random.random() < 0.8 else max(1, m.seats - 1)
    for k in range(m.seats):
        x = (k + 0.5) * m.cell - m.seats * m.cell / 2
        shapes.append(rounded_box(m.cell - 0.008, m.depth - 0.22, 0.16, (x, -0.1, m.seat - 0.14), 0.05, 0.025))
    part = m.seats * m.cell / num_backs
    back = rounded_box(part - 0.01, 0.17, m.top - m.seat, (0, 0, 0), 0.07, steps=3).turned(-lean, axis=0)
    for k in range(num_backs):
        shapes.append(back.moved((k + 0.5) * part - m.seats * m.cell / 2, m.depth / 2 - 0.31, m.seat + 0.005))
    return shapes


def _throw_pillows(random: np.random.Generator, style: Style, m: _Measures) -> list[Piece]:
    """Pillows that lean on the back at both ends, mostly in one colour."""
    pieces: list[Piece] = []
    colors = (style.accent, cloth(random))
    for k in range(int(random.integers(0, m.seats + 2))):
        size = float(random.uniform(0.38, 0.48))
        shape = (
            pillow(size, size, 0.14).turned(float(random.uniform(58, 72)), axis=0).turned(float(random.normal(0, 8)))
        )
        end = (-1 if k % 2 else 1) * (m.seats * m.cell / 2 - 0.24 - 0.22 * (k // 2) - float(random.uniform(0, 0.05)))
        z = m.seat + 0.03 - float(shape.vertices_m[:, 2].min())
        pieces.append((shape.moved(end, m.depth / 2 - 0.42 - 0.05 * (k // 2), z), colors[k % 2]))
    return pieces


def bench(random: np.random.Generator, style: Style) -> Model:
    """A long stool, such as at the foot of a bed or at a table."""
    width, depth, seat = (
        float(random.uniform(1.0, 1.4)),
        float(random.uniform(0.36, 0.46)),
        float(random.uniform(0.42, 0.47)),
    )
    legs = four_legs(random, width - 0.08, depth - 0.04, seat - 0.07, 0.04, float(random.uniform(0, 0.03)))
    soft = rounded_box(width, depth, 0.1, (0, 0, seat - 0.08), 0.04, 0.015)
    pieces = [(legs, style.wood_for(random)), (soft, style.cloth_for(random))]
    return assemble("bench", "bench", SOFA, pieces)
