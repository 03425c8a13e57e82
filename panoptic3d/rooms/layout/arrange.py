"""Which groups a room type holds, and where they try to stand."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from panoptic3d.rooms.layout.config import RoomType
from panoptic3d.rooms.layout.furnisher import Furnisher
from panoptic3d.rooms.layout.groups import Group
from panoptic3d.rooms.layout.plans import Wall
from panoptic3d.rooms.layout.sets import (
    GroupMaker,
    armchair_set,
    bed_set,
    bunk_set,
    desk_set,
    dining_set,
    kitchen_set,
    media_set,
    single,
    sofa_set,
    stools_set,
)
from panoptic3d.rooms.layout.space import Space

Where = Literal["wall", "corner", "middle", "seats"]
_TRIES = 26


@dataclass(frozen=True)
class Wish:
    """A group, where it stands, and how likely a room of normal richness asks for it."""

    make: GroupMaker
    where: Where = "wall"
    share: float = 1.0


_CABINET = (Wish(single("sideboard"), share=0.35), Wish(single("tall-cabinet"), "wall", 0.3))
_PLANT = Wish(single("floor-plant", 0.0), "corner", 0.55)
_BOOKS = Wish(single("bookcase"), share=0.5)

PROGRAMS: dict[RoomType, tuple[Wish, ...]] = {
    "bedroom": (
        *(Wish(bed_set), Wish(single("wardrobe", 0.6), "corner", 0.8), Wish(single("dresser"), share=0.5)),
        *(Wish(desk_set, share=0.3), Wish(armchair_set, "corner", 0.35), _PLANT, Wish(single("tv-stand"), share=0.2)),
        Wish(stools_set, "wall", 0.15),
    ),
    "child": (
        *(Wish(bunk_set, "corner"), Wish(desk_set, share=0.85), Wish(single("wardrobe", 0.6), "corner", 0.6)),
        *(
            Wish(single("ladder-shelf"), share=0.5),
            Wish(single("dresser"), share=0.4),
            Wish(stools_set, "middle", 0.35),
            _PLANT,
        ),
    ),
    "living": (
        *(Wish(sofa_set, "seats"), _BOOKS, _PLANT, *_CABINET),
        *(Wish(armchair_set, "corner", 0.5), Wish(dining_set, "middle", 0.3), Wish(single("console-table"), share=0.3)),
        *(
            Wish(single("ladder-shelf"), share=0.25),
            Wish(single("floor-lamp", 0.0), "corner", 0.3),
            _PLANT,
            Wish(stools_set, "middle", 0.2),
        ),
    ),
    "dining": (
        *(
            Wish(dining_set, "middle"),
            Wish(single("sideboard"), share=0.75),
            Wish(single("tall-cabinet"), share=0.4),
            _PLANT,
        ),
        *(Wish(_BOOKS.make, share=0.3), Wish(armchair_set, "corner", 0.3), Wish(single("console-table"), share=0.3)),
        *(Wish(single("floor-lamp", 0.0), "corner", 0.3), Wish(stools_set, "wall", 0.2)),
    ),
    "study": (
        *(Wish(desk_set), Wish(single("bookcase")), _BOOKS, Wish(armchair_set, "corner", 0.6), _PLANT),
        *(Wish(single("tall-cabinet"), share=0.4), Wish(single("ladder-shelf"), share=0.4), Wish(sofa_set, share=0.25)),
        *(Wish(single("floor-lamp", 0.0), "corner", 0.3), Wish(desk_set, share=0.15)),
    ),
    "kitchen": (
        *(
            Wish(kitchen_set),
            Wish(dining_set, "middle", 0.9),
            Wish(single("sideboard"), share=0.35),
            Wish(single("tall-cabinet"), share=0.3),
        ),
        *(_PLANT, Wish(stools_set, "wall", 0.4)),
    ),
    "studio": (
        *(Wish(bed_set), Wish(sofa_set, share=0.9), Wish(desk_set, share=0.6), Wish(dining_set, "middle", 0.5)),
        *(
            Wish(single("wardrobe", 0.6), "corner", 0.7),
            _BOOKS,
            _PLANT,
            *_CABINET,
            Wish(single("floor-lamp", 0.0), "corner", 0.4),
        ),
    ),
}


def furnish(space: Space, make: Furnisher, random: np.random.Generator, room_type: RoomType, richness: float) -> bool:
    """The main group first, then the others as chance and room allow; False if the main one found no place."""
    has_sofa = False
    for number, wish in enumerate(PROGRAMS[room_type]):
        share = wish.share if number == 0 else wish.share * (0.4 + 0.6 * richness)
        if random.random() >= share or (wish.make is sofa_set and has_sofa):
            continue
        stood = _place(space, make, random, wish, attempts=5 if number == 0 else 3)
        if number == 0 and not stood:
            return False
        has_sofa = has_sofa or (stood and wish.make is sofa_set)
    return True


def _place(space: Space, make: Furnisher, random: np.random.Generator, wish: Wish, attempts: int) -> bool:
    """Each attempt is another draw of the furniture: a smaller table may fit where the first did not."""
    ways: dict[Where, Callable[[], bool]] = {
        "wall": partial(_along_wall, space, random, 0.35),
        "corner": partial(_along_wall, space, random, 0.9),
        "middle": partial(_in_middle, space, random),
    }  # pyright: ignore[reportAssignmentType]
    for _ in range(attempts):
        if wish.where == "seats":
            stood = _seats(space, make, random)
        else:
            stood = ways[wish.where](wish.make(make, random))  # pyright: ignore[reportCallIssue]
        if stood:
            return True
    return False


def _along_wall(space: Space, random: np.random.Generator, corner_share: float, group: Group) -> bool:
    """Back to a wall, gladly in a corner."""
    x0, _, x1, _ = group.bounds
    walls = [wall for wall in space.plan.walls() if wall.length > (x1 - x0) + 0.06]
    if not walls:
        return False
    length = np.array([wall.length for wall in walls])
    for _ in range(_TRIES):
        wall = walls[int(random.choice(len(walls), p=length / length.sum()))]
        # What hangs in a group is made for a gap of 2 cm.
        is_loose = not any(item.support == "wall" for item in group.items) and random.random() < 0.3
        gap = float(random.uniform(0.02, 0.06)) if is_loose else 0.02
        if random.random() < corner_share:
            aside = float(random.uniform(0.03, 0.2))
            s = aside if random.random() < 0.5 else wall.length - (x1 - x0) - aside
        else:
            s = float(random.uniform(0.03, wall.length - (x1 - x0) - 0.03))
        if _try_at_wall(space, group, wall, s, gap):
            return True
    return False


def _try_at_wall(space: Space, group: Group, wall: Wall, s: float, gap: float) -> bool:
    """The group's box begins at `s` along the wall; the wall runs to the left of who looks out of it."""
    x1 = group.bounds[2]
    # With the back to the wall the group's +x runs against the wall's direction.
    x, y = wall.at(s + x1, gap + group.back_m).tolist()
    return space.try_group(group, round(x, 4), round(y, 4), wall.yaw_deg)


def _in_middle(space: Space, random: np.random.Generator, group: Group) -> bool:
    low, high = space.plan.outline_m.min(axis=0), space.plan.outline_m.max(axis=0)
    middle, spread = (low + high) / 2, (high - low) * 0.16
    for k in range(_TRIES):
        x, y = (middle + random.normal(0, 1, 2) * spread * (0.3 + k / _TRIES)).tolist()
        yaw = 90.0 * int(random.integers(4))
        if space.try_group(group, round(x, 4), round(y, 4), yaw, 0.3 if k < _TRIES / 2 else 0.06):
            return True
    return False


def _seats(space: Space, make: Furnisher, random: np.random.Generator) -> bool:
    """A sofa before a television where that fits, else at a wall."""
    if random.random() < 0.8 and _facing(space, make, random):
        return True
    return _along_wall(space, random, 0.35, sofa_set(make, random))


def _facing(space: Space, make: Furnisher, random: np.random.Generator) -> bool:
    """A television at a wall, its sofa at the depth that the room has there."""
    walls = [wall for wall in space.plan.walls() if wall.length > 1.9]
    if not walls:
        return False
    random.shuffle(walls)  # pyright: ignore[reportArgumentType]
    for wall in walls[:3]:
        share = float(random.uniform(0.3, 0.7))
        depth = _depth_m(space, wall, wall.length * share)
        group = media_set(make, random, depth)
        for shift in (0.0, -0.3, 0.3, -0.6, 0.6):
            s = wall.length * share + shift - group.bounds[2]
            if _try_at_wall(space, group, wall, s, 0.02):
                return True
    return False


def _depth_m(space: Space, wall: Wall, s: float) -> float:
    """Free depth before a place at a wall, to the next wall."""
    steps = np.arange(0.05, 9.0, 0.05)
    points = wall.at(s)[None] + steps[:, None] * wall.inward[None]
    outside = np.flatnonzero(~space.plan.contains(points))
    return float(steps[outside[0]]) - 0.05 if len(outside) else 9.0
