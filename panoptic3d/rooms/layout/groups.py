"""Furniture that belongs together, in a frame of its own: the back at +y, the front towards -y."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from panoptic3d.rooms.layout.boxes import Boxes, solid_boxes
from panoptic3d.rooms.scene import Model

Support = Literal["floor", "wall", "ceiling", "top", "shell"]


@dataclass(frozen=True, eq=False)
class Placed:
    """A model in the world; `key` names it and `on` what carries it."""

    model: Model
    x: float
    y: float
    z: float
    yaw_deg: float
    support: Support
    key: int
    on: int | None = None


@dataclass(frozen=True, eq=False)
class Item:
    """A model in its group; `on` is the item that carries it."""

    model: Model
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    yaw_deg: float = 0.0
    support: Support = "floor"
    on: int | None = None

    def solid(self) -> Boxes:
        return solid_boxes(self.model).placed(self.x, self.y, self.z, self.yaw_deg)


@dataclass(frozen=True, eq=False)
class Group:
    name: str
    items: tuple[Item, ...]
    clearances: tuple[tuple[float, float, float, float], ...] = ()  # rectangles of the floor that must stay free

    @cached_property
    def solid(self) -> Boxes:
        """Boxes of all pieces except rugs."""
        return Boxes.joined([item.solid() for item in self.items if item.model.role != "rug"])

    @cached_property
    def rugs(self) -> Boxes:
        return Boxes.joined([item.solid() for item in self.items if item.model.role == "rug"])

    @cached_property
    def clear(self) -> Boxes:
        return Boxes.joined([Boxes.rectangle(*r, 0.0, 1.2) for r in self.clearances])

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        corners = self.solid.corners().reshape(-1, 2)
        (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return x0, y0, x1, y1

    @cached_property
    def back_m(self) -> float:
        """How far what stands on the floor reaches to +y; what hangs is made to reach the wall itself."""
        floor = Boxes.joined([i.solid() for i in self.items if i.support == "floor" and i.model.role != "rug"])
        return float(floor.corners()[..., 1].max())

    def at(self, x: float, y: float, yaw_deg: float, keys: Iterator[int]) -> list[Placed]:
        a = np.radians(yaw_deg)
        c, s = float(np.cos(a)), float(np.sin(a))
        names = [next(keys) for _ in self.items]
        return [
            Placed(
                item.model,
                x + c * item.x - s * item.y,
                y + s * item.x + c * item.y,
                item.z,
                yaw_deg + item.yaw_deg,
                item.support,
                key,
                None if item.on is None else names[item.on],
            )
            for item, key in zip(self.items, names, strict=True)
        ]
