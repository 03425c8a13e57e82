"""Rooms from seeds: plan, furniture in groups, lights, cameras. `make_room(seed)` is the entry."""

from panoptic3d.rooms.layout.config import LayoutConfig
from panoptic3d.rooms.layout.room import make_room

__all__ = ["LayoutConfig", "make_room"]
