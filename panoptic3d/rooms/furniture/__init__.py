"""Parametric furniture written by us: every parameter is drawn, nothing is read from disk.

`build(role, random)` makes one piece. Base at z = 0, centred, front towards -y, metres.
"""

from collections.abc import Callable, Mapping

import numpy as np

from panoptic3d.errors import InputError
from panoptic3d.rooms.furniture import (
    beds,
    cabinets,
    chairs,
    clutter,
    desks,
    hangings,
    lamps,
    openings,
    plants,
    shelves,
    sofas,
    tables,
)
from panoptic3d.rooms.render.materials import Style
from panoptic3d.rooms.scene import Model

Maker = Callable[..., Model]

ROLES: Mapping[str, Maker] = {
    "double-bed": beds.double_bed,
    "single-bed": beds.single_bed,
    "bunk-bed": beds.bunk_bed,
    "dining-chair": chairs.dining_chair,
    "office-chair": chairs.office_chair,
    "armchair": chairs.armchair,
    "stool": chairs.stool,
    "sofa": sofas.sofa,
    "corner-sofa": sofas.corner_sofa,
    "bench": sofas.bench,
    "dining-table": tables.dining_table,
    "round-table": tables.round_table,
    "coffee-table": tables.coffee_table,
    "side-table": tables.side_table,
    "console-table": tables.console_table,
    "tv-stand": tables.tv_stand,
    "nightstand": tables.nightstand,
    "desk": desks.desk,
    "wardrobe": cabinets.wardrobe,
    "sideboard": cabinets.sideboard,
    "tall-cabinet": cabinets.tall_cabinet,
    "kitchen-row": cabinets.kitchen_row,
    "wall-cupboard": cabinets.wall_cupboard,
    "fridge": cabinets.fridge,
    "dresser": cabinets.dresser,
    "floor-lamp": lamps.floor_lamp,
    "table-lamp": lamps.table_lamp,
    "desk-lamp": lamps.desk_lamp,
    "pendant": lamps.pendant,
    "ceiling-lamp": lamps.ceiling_lamp,
    "bookcase": shelves.bookcase,
    "ladder-shelf": shelves.ladder_shelf,
    "wall-shelf": shelves.wall_shelf,
    "floor-plant": plants.floor_plant,
    "small-plant": plants.small_plant,
    "picture": hangings.picture,
    "mirror": hangings.mirror,
    "clock": hangings.clock,
    "curtain": hangings.curtain,
    "television": hangings.television,
    "wall-television": hangings.wall_television,
    "rug": hangings.rug,
    "window": openings.window,
    "door": openings.door,
    "vase": clutter.vase,
    "bowl": clutter.bowl,
    "book-stack": clutter.book_stack,
    "storage-box": clutter.storage_box,
    "cup": clutter.cup,
    "candles": clutter.candles,
    "photo-frame": clutter.photo_frame,
    "laptop": clutter.laptop,
    "monitor": clutter.monitor,
    "toy": clutter.toy,
}


def build(role: str, random: np.random.Generator, style: Style | None = None, **sizes_m: float) -> Model:
    """A new piece of the role; `style` makes it one of a room's. Curtains, rugs, windows and doors take sizes."""
    if role not in ROLES:
        raise InputError(f"no furniture has the role {role!r}; the roles are {', '.join(ROLES)}.")
    return ROLES[role](random, style or Style.drawn(random), **sizes_m)
