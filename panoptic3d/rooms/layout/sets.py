"""The groups: a bed with its tables, a table with its chairs, a sofa before a television, a desk with its chair."""

from collections.abc import Callable

import numpy as np

from panoptic3d.rooms.layout.boxes import Boxes, overlaps
from panoptic3d.rooms.layout.furnisher import Furnisher
from panoptic3d.rooms.layout.groups import Group, Item
from panoptic3d.rooms.scene import Model

GroupMaker = Callable[[Furnisher, np.random.Generator], Group]
_APART_M = 0.02


def on_top(
    carrier: Item, index: int, model: Model, share_x: float = 0.5, share_y: float = 0.5, yaw_deg: float = 0.0
) -> Item:
    """A model on the first top of an item, at a share of the free rectangle; the item must not be turned."""
    height, (x0, y0, x1, y1) = carrier.model.tops[0]
    w, d, _ = model.size_m
    x = carrier.x + (x0 + x1) / 2 + (share_x - 0.5) * max(0.0, x1 - x0 - w)
    y = carrier.y + (y0 + y1) / 2 + (share_y - 0.5) * max(0.0, y1 - y0 - d)
    return Item(model, x, y, carrier.z + height, yaw_deg, "top", index)


def holds(carrier: Model, model: Model) -> bool:
    """Whether the free rectangle of the carrier's top is large enough."""
    if not carrier.tops:
        return False
    _, (x0, y0, x1, y1) = carrier.tops[0]
    return model.size_m[0] <= x1 - x0 and model.size_m[1] <= y1 - y0


def pushed_to(model: Model, others: list[Item], x: float, y: float, yaw_deg: float, step: tuple[float, float]) -> Item:
    """The item at the first place along `step` where it is clear of the others."""
    taken = Boxes.joined([item.solid() for item in others])
    for k in range(80):
        item = Item(model, x + k * step[0], y + k * step[1], 0.0, yaw_deg)
        if not overlaps(item.solid().grown(_APART_M), taken).any():
            return item
    raise AssertionError("a step leads out of any group of furniture")


def bed_set(make: Furnisher, random: np.random.Generator) -> Group:
    """Head to the wall, tables beside it with lamps, perhaps a rug underneath and a bench at the foot."""
    is_double = random.random() < 0.75
    bed = make("double-bed" if is_double else "single-bed")
    w, d, _ = bed.size_m
    items = [Item(bed)]
    sides = (-1, 1) if is_double else ((-1,) if random.random() < 0.5 else (1,))
    table = make("nightstand") if random.random() < 0.85 else make("side-table")
    lamp = make("table-lamp") if random.random() < 0.75 else None
    reach = w / 2
    for s in sides:
        tw, td, _ = table.size_m
        items.append(Item(table, s * (w / 2 + tw / 2 + 0.05), d / 2 - td / 2))
        reach = w / 2 + tw + 0.05
        if lamp is not None and holds(table, lamp):
            items.append(on_top(items[-1], len(items) - 1, lamp, 0.5 + 0.3 * s, 0.8))
    if is_double and random.random() < 0.18:
        bench = make("bench")
        items.append(Item(bench, 0.0, -d / 2 - bench.size_m[1] / 2 - 0.06))
    if random.random() < 0.4:
        rug = make(
            "rug",
            width_m=round(w + float(random.uniform(0.9, 1.3)), 3),
            depth_m=round(float(random.uniform(1.4, 1.9)), 3),
        )
        items.append(Item(rug, 0.0, -d / 2 + rug.size_m[1] / 2 - 0.45))
    free = [(s * (w / 2 + 0.03), -d / 2, s * (w / 2 + 0.5), d / 2 - 0.55) for s in ((-1, 1) if is_double else sides)]
    return Group("bed", tuple(items), tuple((min(a, c), b, max(a, c), e) for a, b, c, e in free if reach))


def bunk_set(make: Furnisher, random: np.random.Generator) -> Group:
    bed = make("bunk-bed" if random.random() < 0.45 else "single-bed")
    w, d, _ = bed.size_m
    items = [Item(bed)]
    if random.random() < 0.5:
        rug = make("rug", width_m=1.2, depth_m=1.6)
        items.append(Item(rug, -w / 2 - 0.75, -0.2))
    return Group("bunk", tuple(items), ((-w / 2 - 0.55, -d / 2, -w / 2 - 0.03, d / 2 - 0.3),))


def dining_set(make: Furnisher, random: np.random.Generator) -> Group:
    """A table with equal chairs around it, some pulled out a little; perhaps on a rug."""
    if random.random() < 0.3:
        return _round_set(make, random)
    table, chair = make("dining-table"), make("dining-chair")
    w, d, _ = table.size_m
    items = [Item(table)]
    per_side = max(1, int((w - 0.1) / (chair.size_m[0] + 0.1)))
    per_side = min(per_side, 3 if random.random() < 0.6 else 2)
    for s in (-1, 1):
        for k in range(per_side):
            if random.random() < 0.06:
                continue
            x = ((k + 0.5) / per_side - 0.5) * w * (0.92 if per_side > 1 else 0.0)
            items.append(
                _drawn_up(random, chair, items, x, s * (d / 2 - 0.16), 180.0 if s < 0 else 0.0, (0.0, s * 0.03))
            )
    if random.random() < 0.35:
        for s in (-1, 1):
            items.append(_drawn_up(random, chair, items, s * (w / 2 - 0.05), 0.0, -90.0 * s, (s * 0.03, 0.0)))
    if random.random() < 0.35:
        rug = make("rug", width_m=round(w + 0.9, 3), depth_m=round(d + 1.1, 3))
        items.append(Item(rug))
    return Group("dining", tuple(items))


def _round_set(make: Furnisher, random: np.random.Generator) -> Group:
    table, chair = make("round-table"), make("dining-chair")
    radius, items = table.size_m[0] / 2, [Item(table)]
    count, start = int(random.integers(2, 5)), float(random.uniform(0, 90))
    for k in range(count):
        a = np.radians(start + 360 / count * k)
        ahead = (float(np.cos(a)), float(np.sin(a)))
        out = radius - 0.05
        items.append(
            _drawn_up(
                random,
                chair,
                items,
                out * ahead[0],
                out * ahead[1],
                float(np.degrees(a)) - 90,
                (0.03 * ahead[0], 0.03 * ahead[1]),
            )
        )
    return Group("dining-round", tuple(items))


def _drawn_up(
    random: np.random.Generator,
    chair: Model,
    items: list[Item],
    x: float,
    y: float,
    yaw_deg: float,
    step: tuple[float, float],
) -> Item:
    """A chair as far under the table as it goes, or a little less."""
    extra = int(random.choice([0, 0, 1, 2, 5]))
    yaw = yaw_deg + float(np.round(random.normal(0, 4 if extra < 3 else 10), 2))
    item = pushed_to(chair, items, x, y, yaw, step)
    return pushed_to(chair, items, item.x + extra * step[0], item.y + extra * step[1], yaw, step)


def sofa_set(make: Furnisher, random: np.random.Generator) -> Group:
    """A sofa with a coffee table on a rug, a side table or lamp at its end, perhaps an armchair."""
    items, front = _sofa_corner(make, random)
    return Group("sofa", tuple(items), ((-0.4, front - 0.5, 0.4, front - 0.05),))


def _sofa_corner(make: Furnisher, random: np.random.Generator) -> tuple[list[Item], float]:
    """Items, and how far to -y they reach."""
    is_corner = random.random() < 0.25
    sofa = make("corner-sofa" if is_corner else "sofa")
    w, d, _ = sofa.size_m
    items, front = [Item(sofa)], -d / 2
    if random.random() < 0.85:
        table = make("coffee-table")
        y = front - table.size_m[1] / 2 - float(random.uniform(0.3, 0.42))
        item = pushed_to(table, items, 0.0, y + 0.3, 0.0, (0.0, -0.03))
        item = Item(table, item.x, min(item.y - 0.06, y))
        items.append(item)
        front = item.y - table.size_m[1] / 2
        if random.random() < 0.65:
            rug = make(
                "rug", width_m=round(max(w * 0.9, table.size_m[0] + 0.7), 3), depth_m=round(table.size_m[1] + 1.2, 3)
            )
            items.append(Item(rug, 0.0, item.y + 0.05))
    side = 1 if random.random() < 0.5 else -1
    kind = random.random()
    if kind < 0.4:
        lamp = make("floor-lamp")
        items.append(Item(lamp, side * (w / 2 + lamp.size_m[0] / 2 + 0.08), d / 2 - lamp.size_m[1] / 2 - 0.02))
    elif kind < 0.75:
        table = make("side-table")
        items.append(Item(table, side * (w / 2 + table.size_m[0] / 2 + 0.06), d / 2 - table.size_m[1] / 2 - 0.05))
        lamp = make("table-lamp")
        if holds(table, lamp):
            items.append(on_top(items[-1], len(items) - 1, lamp))
    if random.random() < 0.45:
        items.append(_beside(random, make("armchair"), items, w, front, -side))
    return items, front


def _beside(
    random: np.random.Generator, chair: Model, items: list[Item], width: float, front: float, side: int
) -> Item:
    """An armchair at the end of the coffee table, turned to its middle."""
    y = front + float(random.uniform(0.1, 0.4))
    yaw = -side * float(random.uniform(62, 98))
    solid = [item for item in items if item.model.role != "rug"]
    item = pushed_to(chair, solid, side * 0.5, y - 0.1, yaw, (side * 0.04, -0.004))
    return Item(chair, item.x + side * float(random.uniform(0.02, 0.2)), item.y, 0.0, yaw)


def media_set(make: Furnisher, random: np.random.Generator, room_depth_m: float) -> Group:
    """The television at the wall, the sofa looks at it: from the opposite wall where that is near enough."""
    stand = make("tv-stand")
    items = [Item(stand)]
    sd = stand.size_m[1]
    tv = make("television")
    if holds(stand, tv):
        items.append(on_top(items[0], 0, tv, 0.5, 0.6))
    else:
        hung = make("wall-television")
        items.append(
            Item(hung, 0.0, sd / 2 - hung.size_m[1] / 2 + 0.019, float(random.uniform(0.75, 0.95)), 0.0, "wall")
        )
    seats, _ = _sofa_corner(make, random)
    depth = max(-min(item.solid().corners()[..., 1].min() for item in seats), 0.0)
    back = seats[0].model.size_m[1] / 2
    closest = depth + sd / 2 + 0.5  # walking room between coffee table and television
    to_wall = room_depth_m - sd / 2 - back - 0.05
    distance = to_wall if closest <= to_wall <= closest + 1.4 else closest + float(random.uniform(0.0, 0.5))
    for item in seats:
        on = None if item.on is None else item.on + 2
        items.append(Item(item.model, -item.x, -distance - item.y, item.z, item.yaw_deg + 180, item.support, on))
    return Group("media", tuple(items), ((-stand.size_m[0] / 2, -sd / 2 - 0.4, stand.size_m[0] / 2, -sd / 2 - 0.03),))


def desk_set(make: Furnisher, random: np.random.Generator) -> Group:
    desk = make("desk")
    d = desk.size_m[1]
    items = [Item(desk)]
    screen = make("monitor" if random.random() < 0.5 else "laptop")
    if holds(desk, screen):
        items.append(
            on_top(items[0], 0, screen, float(random.uniform(0.35, 0.65)), 0.85 if screen.role == "monitor" else 0.5)
        )
    lamp = make("desk-lamp" if random.random() < 0.7 else "table-lamp")
    items.append(on_top(items[0], 0, lamp, 0.02 if random.random() < 0.5 else 0.98, 0.9))
    if overlaps(items[-1].solid(), Boxes.joined([item.solid() for item in items[:-1]])).any():
        items.pop()
    chair = make("office-chair" if random.random() < 0.75 else "dining-chair")
    yaw = 180 + float(np.round(random.normal(0, 14), 2))
    seat = pushed_to(chair, items, float(random.normal(0, 0.06)), -d / 2 + 0.1, yaw, (0.0, -0.03))
    items.append(seat)
    behind = float(seat.solid().corners()[..., 1].min())
    return Group("desk", tuple(items), ((-0.35, behind - 0.3, 0.35, behind - 0.02),))


def kitchen_set(make: Furnisher, random: np.random.Generator) -> Group:
    """Base units with cupboards above, the fridge at one end."""
    row = make("kitchen-row")
    w, d, _ = row.size_m
    items = [Item(row)]
    if random.random() < 0.8:
        over = make("wall-cupboard")
        if over.size_m[0] <= w:
            side = (w - over.size_m[0]) / 2 * (-1 if random.random() < 0.5 else 1)
            # The group stands 2 cm before the wall; the cupboard hangs on it.
            items.append(
                Item(over, side, d / 2 - over.size_m[1] / 2 + 0.019, float(random.uniform(1.42, 1.5)), 0.0, "wall")
            )
    if random.random() < 0.8:
        fridge = make("fridge")
        side = -1 if random.random() < 0.5 else 1
        items.append(Item(fridge, side * (w / 2 + fridge.size_m[0] / 2 + 0.03), d / 2 - fridge.size_m[1] / 2))
    return Group("kitchen", tuple(items), ((-w / 2, -d / 2 - 0.75, w / 2, -d / 2 - 0.06),))


def armchair_set(make: Furnisher, random: np.random.Generator) -> Group:
    """A reading corner: an armchair with a lamp or a table."""
    chair = make("armchair")
    w, d, _ = chair.size_m
    items = [Item(chair)]
    side, extra = (1 if random.random() < 0.5 else -1), make("floor-lamp" if random.random() < 0.5 else "side-table")
    items.append(Item(extra, side * (w / 2 + extra.size_m[0] / 2 + 0.05), d / 2 - extra.size_m[1] / 2 - 0.05))
    return Group("armchair", tuple(items), ((-0.3, -d / 2 - 0.4, 0.3, -d / 2 - 0.04),))


def single(role: str, clearance_m: float = 0.45) -> GroupMaker:
    """One piece with free floor before it."""

    def group(make: Furnisher, random: np.random.Generator) -> Group:
        model = make(role)
        w, d, _ = model.size_m
        free = ((-w / 2 + 0.05, -d / 2 - clearance_m, w / 2 - 0.05, -d / 2 - 0.05),) if clearance_m else ()
        return Group(role, (Item(model),), free)

    return group


def stools_set(make: Furnisher, random: np.random.Generator) -> Group:
    stool = make("stool")
    items = [Item(stool)]
    if random.random() < 0.4:
        items.append(Item(stool, stool.size_m[0] + float(random.uniform(0.1, 0.3)), float(random.normal(0, 0.05))))
    return Group("stools", tuple(items))
