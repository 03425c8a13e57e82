"""What comes after the furniture: curtains, things on walls, lamps under the ceiling, small things on tops."""

import numpy as np

from panoptic3d.rooms.layout.boxes import Boxes, overlaps, solid_boxes
from panoptic3d.rooms.layout.furnisher import Furnisher
from panoptic3d.rooms.layout.groups import Placed
from panoptic3d.rooms.layout.openings import Opening
from panoptic3d.rooms.layout.space import Space
from panoptic3d.rooms.scene import Model

# What may stand on what; repeated names are likelier.
_ON_TOP: dict[str, tuple[str, ...]] = {
    "dining-table": ("vase", "vase", "bowl", "candles", "cup", "cup"),
    "round-table": ("vase", "bowl", "candles", "cup"),
    "coffee-table": ("book-stack", "book-stack", "bowl", "vase", "candles", "cup", "small-plant"),
    "side-table": ("book-stack", "cup", "small-plant", "photo-frame", "vase"),
    "nightstand": ("book-stack", "cup", "photo-frame", "small-plant"),
    "tv-stand": ("book-stack", "vase", "storage-box", "small-plant", "photo-frame"),
    "console-table": ("vase", "photo-frame", "book-stack", "table-lamp", "small-plant", "bowl"),
    "sideboard": ("vase", "photo-frame", "book-stack", "table-lamp", "small-plant", "bowl", "candles", "storage-box"),
    "tall-cabinet": ("storage-box", "vase", "small-plant", "photo-frame"),
    "dresser": ("table-lamp", "photo-frame", "vase", "book-stack", "storage-box", "toy", "small-plant"),
    "desk": ("book-stack", "cup", "cup", "photo-frame", "small-plant", "storage-box", "toy"),
    "kitchen-row": ("bowl", "cup", "cup", "vase", "small-plant", "storage-box"),
}
_ROOM_FOR: dict[str, int] = {"desk": 3, "sideboard": 4, "dresser": 3, "kitchen-row": 4, "dining-table": 3}


def hang_curtains(space: Space, make: Furnisher, random: np.random.Generator, windows: list[Opening]) -> None:
    """In two of three rooms, at every window alike, to the floor or to below the sill."""
    if random.random() > 0.66:
        return
    to_floor, opening = random.random() < 0.55, float(random.uniform(0.35, 0.8))
    for window in windows:
        aside = float(random.uniform(0.12, 0.22))
        low = 0.025 if to_floor or window.sill_m < 0.4 else window.sill_m - 0.15
        high = min(window.top_m + float(random.uniform(0.08, 0.16)), space.plan.eaves_m - 0.03)
        width = round(window.width_m + 2 * aside, 3)
        model = make("curtain", width_m=width, height_m=round(high - low, 3), opening=opening)
        _hang(space, model, window, window.middle_m, low, is_before_window=True)


def _hang(space: Space, model: Model, place: Opening, s: float, z: float, is_before_window: bool = False) -> bool:
    """On the wall of an opening; a curtain may stand in its window's own zone, which then need not stay."""
    wall = place.wall
    x, y = wall.at(s, model.size_m[1] / 2 + 0.001).tolist()
    solid = solid_boxes(model).placed(x, y, z, wall.yaw_deg)
    reach = model.size_m[0] / 2
    if s - reach < 0.01 or s + reach > wall.length - 0.01:
        return False  # beyond the corner there is no wall to hang on
    is_free = not space.solids or not overlaps(solid, Boxes.joined(space.solids)).any()
    others = [zone for zone in space.zones if zone.low_m.min(initial=9) < 0.03]
    is_clear = not others or not overlaps(solid, Boxes.joined(others)).any()
    if not (space.is_inside(solid) and is_free and is_clear and is_before_window):
        return False
    space.solids.append(solid)
    space.placed.append(Placed(model, x, y, z, wall.yaw_deg, "wall", next(space.keys)))
    return True


def dress_walls(space: Space, make: Furnisher, random: np.random.Generator, richness: float) -> None:
    """Pictures over low furniture and on free walls, sometimes a shelf, a mirror or a clock."""
    over = [
        p
        for p in space.placed
        if p.support == "floor"
        and p.model.role
        in ("sofa", "corner-sofa", "double-bed", "sideboard", "dresser", "console-table", "desk", "bench")
    ]
    for placed in over:
        if random.random() < 0.5 * min(richness, 1.4):
            _over(space, make, random, placed)
    for _ in range(int(random.poisson(1.6 * richness))):
        role = str(random.choice(["picture", "picture", "picture", "picture", "wall-shelf", "mirror", "clock"]))
        model = make(role)
        for _ in range(8):
            walls = [wall for wall in space.plan.walls() if wall.length > model.size_m[0] + 0.2]
            if not walls:
                break
            wall = walls[int(random.integers(len(walls)))]
            half = model.size_m[0] / 2 + 0.08
            s = float(random.uniform(half, wall.length - half))
            if _on_wall(
                space, model, wall.at(s, model.size_m[1] / 2 + 0.001), wall.yaw_deg, float(random.uniform(1.45, 1.65))
            ):
                break


def _over(space: Space, make: Furnisher, random: np.random.Generator, placed: Placed) -> None:
    """One to three in a row, centred above a piece that stands at a wall."""
    wall = min(space.plan.walls(), key=lambda w: _far_from(w, placed))
    if _far_from(wall, placed) > placed.model.size_m[1] / 2 + 0.12:
        return
    model, count = make("picture"), int(random.integers(1, 4))
    step = model.size_m[0] + 0.08
    count = max(1, min(count, int(placed.model.size_m[0] / step)))
    along = float((np.array([placed.x, placed.y]) - wall.start) @ wall.along)
    bottom = max(placed.model.size_m[2] + 0.18, 1.2)
    for k in range(count):
        s = along + (k - (count - 1) / 2) * step
        if not step / 2 < s < wall.length - step / 2:
            continue
        shown = model if k == 0 or random.random() < 0.5 else make("picture")
        if k and shown.size_m[0] > model.size_m[0]:
            shown = model
        _on_wall(space, shown, wall.at(s, shown.size_m[1] / 2 + 0.001), wall.yaw_deg, bottom + model.size_m[2] / 2)


def _far_from(wall, placed: Placed) -> float:
    """Distance to the wall's plane in front of it; far away for places beside it or backs turned elsewhere."""
    offset = np.array([placed.x, placed.y]) - wall.start
    s, off = float(offset @ wall.along), float(offset @ wall.inward)
    turn = abs((placed.yaw_deg - wall.yaw_deg + 180) % 360 - 180)
    return off if 0 < s < wall.length and off > 0 and turn < 1 else 99.0


def _on_wall(space: Space, model: Model, at: np.ndarray, yaw_deg: float, middle_z: float) -> bool:
    x, y = at.tolist()
    z = round(middle_z - model.size_m[2] / 2, 3)
    solid = solid_boxes(model).placed(x, y, z, yaw_deg)
    if z < 0.9 or not space.fits(solid) or _touches(space, solid.grown(0.05)):
        return False
    space.solids.append(solid)
    space.placed.append(Placed(model, x, y, z, yaw_deg, "wall", next(space.keys)))
    return True


def _touches(space: Space, solid: Boxes) -> bool:
    return bool(space.solids) and bool(overlaps(solid, Boxes.joined(space.solids)).any())


def hang_lamps(space: Space, make: Furnisher, random: np.random.Generator) -> None:
    """A pendant over every dining table; over the rest of the room a flat lamp or a pendant out of the way."""
    tables = [p for p in space.placed if p.model.role in ("dining-table", "round-table")]
    for table in tables:
        if random.random() < 0.75:
            _from_ceiling(space, make("pendant"), table.x, table.y, lowest_m=1.35)
    low, high = space.plan.outline_m.min(axis=0), space.plan.outline_m.max(axis=0)
    x, y = ((low + high) / 2 + random.normal(0, 0.15, 2)).tolist()
    if random.random() < 0.7:
        model = make("ceiling-lamp" if random.random() < 0.55 or tables else "pendant")
        _from_ceiling(space, model, x, y, lowest_m=1.75)


def _from_ceiling(space: Space, model: Model, x: float, y: float, lowest_m: float) -> bool:
    reach = 0.05 if model.role == "pendant" else max(model.size_m[:2]) / 2
    corners = np.array([[x, y]]) + np.array([(-reach, 0), (reach, 0), (0, -reach), (0, reach), (0, 0)])
    heights = space.plan.ceiling_m(corners)
    if model.role != "pendant" and float(np.ptp(heights)) > 0.01:
        return False  # a flat lamp does not lie on a slope
    z = float(heights.min()) - model.size_m[2]
    solid = solid_boxes(model).placed(x, y, z - 0.02, 0.0)
    if z < lowest_m or not space.fits(solid):
        return False
    space.solids.append(solid)
    space.placed.append(Placed(model, x, y, z, 0.0, "ceiling", next(space.keys)))
    return True


def put_clutter(space: Space, make: Furnisher, random: np.random.Generator, richness: float) -> None:
    """Small things on tops, apart from each other and from what already stands there."""
    for carrier in [p for p in space.placed if p.model.role in _ON_TOP and p.model.tops]:
        most = _ROOM_FOR.get(carrier.model.role, 2)
        for _ in range(int(random.binomial(most, min(0.55 * richness, 0.95)))):
            roles = _ON_TOP[carrier.model.role]
            _put(space, make(roles[int(random.integers(len(roles)))]), carrier, random)


def _put(space: Space, model: Model, carrier: Placed, random: np.random.Generator) -> bool:
    height, (x0, y0, x1, y1) = carrier.model.tops[0]
    w, d, _ = model.size_m
    c, s = np.cos(np.radians(carrier.yaw_deg)), np.sin(np.radians(carrier.yaw_deg))
    for _ in range(6):
        turn = float(np.round(random.normal(0, 20), 2))
        reach_x, reach_y = _turned_half(w, d, turn)
        if reach_x * 2 > x1 - x0 or reach_y * 2 > y1 - y0:
            continue
        x, y = float(random.uniform(x0 + reach_x, x1 - reach_x)), float(random.uniform(y0 + reach_y, y1 - reach_y))
        at = (carrier.x + c * x - s * y, carrier.y + s * x + c * y)
        z = carrier.z + height
        solid = solid_boxes(model).placed(float(at[0]), float(at[1]), z, carrier.yaw_deg + turn)
        if space.is_inside(solid) and not _touches(space, solid.grown(0.01)):
            space.solids.append(solid)
            space.placed.append(
                Placed(
                    model, float(at[0]), float(at[1]), z, carrier.yaw_deg + turn, "top", next(space.keys), carrier.key
                )
            )
            return True
    return False


def _turned_half(width: float, depth: float, degrees: float) -> tuple[float, float]:
    c, s = abs(float(np.cos(np.radians(degrees)))), abs(float(np.sin(np.radians(degrees))))
    return (width * c + depth * s) / 2, (width * s + depth * c) / 2
