"""Place windows and doors, and keep the space that they need free."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from panoptic3d.rooms.layout.boxes import Boxes
from panoptic3d.rooms.layout.plans import Plan, Wall

DOOR_CLEARANCE_M = 0.85


@dataclass(frozen=True, eq=False)
class Opening:
    kind: Literal["window", "door"]
    wall: Wall
    start_m: float  # along the wall
    width_m: float
    sill_m: float
    height_m: float
    reveal_m: float  # how deep the wall is behind the opening

    @property
    def end_m(self) -> float:
        return self.start_m + self.width_m

    @property
    def middle_m(self) -> float:
        return self.start_m + self.width_m / 2

    @property
    def top_m(self) -> float:
        return self.sill_m + self.height_m

    def zone(self, deep_m: float, low_m: float, high_m: float, aside_m: float = 0.0) -> Boxes:
        """A box before the opening."""
        centre = self.wall.at(self.middle_m, deep_m / 2)[None]
        half = np.array([[self.width_m / 2 + aside_m, deep_m / 2]])
        yaw = np.array([np.arctan2(self.wall.along[1], self.wall.along[0])])
        return Boxes(centre, half, yaw, np.array([low_m]), np.array([high_m]))

    def zones(self) -> list[Boxes]:
        if self.kind == "door":
            return [self.zone(DOOR_CLEARANCE_M, 0.0, 1.2), self.zone(0.1, 0.02, self.top_m + 0.1, 0.08)]
        return [self.zone(0.22, max(self.sill_m - 0.04, 0.02), self.top_m + 0.05, 0.1)]


def draw_openings(random: np.random.Generator, plan: Plan) -> list[Opening]:
    """A door or two, one to three windows, on long walls, none over another."""
    openings: list[Opening] = []
    for k in range(2 if random.random() < 0.2 else 1):
        _append(openings, _door(random, plan, openings, k))
    for _ in range(int(random.integers(1, 4))):
        _append(openings, _window(random, plan, openings))
    return openings


def _append(openings: list[Opening], opening: Opening | None) -> None:
    if opening is not None:
        openings.append(opening)


def _door(random: np.random.Generator, plan: Plan, others: list[Opening], number: int) -> Opening | None:
    width, height = float(random.uniform(0.8, 0.95)), float(random.uniform(2.0, 2.1))
    start = _spot(random, plan, others, width, 0.2)
    return None if start is None else Opening("door", *start, width, 0.0, height, 0.1)


def _window(random: np.random.Generator, plan: Plan, others: list[Opening]) -> Opening | None:
    width = float(random.uniform(0.8, 2.2))
    sill = 0.12 if random.random() < 0.15 else float(random.uniform(0.6, 0.95))
    top = min(float(random.uniform(2.0, 2.35)), plan.eaves_m - 0.25)
    spot = _spot(random, plan, others, width, 0.35)
    return None if spot is None else Opening("window", *spot, width, sill, top - sill, float(random.uniform(0.1, 0.22)))


def _spot(
    random: np.random.Generator, plan: Plan, others: list[Opening], width: float, margin: float
) -> tuple[Wall, float] | None:
    for _ in range(12):
        walls = [wall for wall in plan.walls() if wall.length > width + 2 * margin]
        if not walls:
            return None
        length = np.array([wall.length for wall in walls])
        wall = walls[int(random.choice(len(walls), p=length / length.sum()))]
        start = round(float(random.uniform(margin, wall.length - width - margin)), 3)
        near = [o for o in others if o.wall.index == wall.index]
        if all(start > o.end_m + 0.3 or start + width < o.start_m - 0.3 for o in near):
            return wall, start
    return None
