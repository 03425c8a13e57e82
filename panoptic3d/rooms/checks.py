"""What is wrong with a room: floating, sunken, colliding, upside-down, turned to the wall, outside.

It reads the scene alone and knows nothing of how layouts were made, so it judges imported libraries as well. Penetration is
measured on the meshes: a point of one thing that lies deeper than `DEEP_M` inside the other. Two things that are both
thinner than twice that may cross unseen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from panoptic3d.rooms.meshes.solids import is_inside, surface_below
from panoptic3d.rooms.scene import Part, RoomScene

DEEP_M = 0.006
TOUCH_M = 0.006
CEILING_TOUCH_M = 0.03  # a rose on a sloping ceiling touches with one side
CAMERA_CLEAR_M = 0.35
FRONT_FREE_M = 0.25
_MOST_POINTS, _MOST_DEEP_POINTS = 500, 60
_SINKING_ROLES = ("rug",)  # what legs press into
# Roles whose front is of use: it must not look at a wall.
_FRONTED = (
    *(
        "wardrobe",
        "sideboard",
        "tall-cabinet",
        "kitchen-row",
        "fridge",
        "dresser",
        "nightstand",
        "bookcase",
        "tv-stand",
    ),
    *("sofa", "corner-sofa", "armchair", "double-bed", "desk", "television"),
)

FaultKind = Literal["floating", "sunken", "penetration", "upside-down", "turned-away", "outside", "camera"]


@dataclass(frozen=True)
class Fault:
    kind: FaultKind
    part: str
    other: str = ""
    amount_m: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind}: {self.part}{f' and {self.other}' if self.other else ''} ({self.amount_m * 1000:.0f} mm)"


@dataclass(frozen=True, eq=False)
class _Solid:
    """A part in the world frame."""

    part: Part
    corners: Float[np.ndarray, "t 3 3"]
    low: Float[np.ndarray, "3"]
    high: Float[np.ndarray, "3"]

    @classmethod
    def of(cls, part: Part) -> "_Solid":
        matrix = part.world_from_part
        vertices = part.mesh.vertices_m.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
        return cls(part, vertices[part.mesh.triangles], vertices.min(axis=0), vertices.max(axis=0))

    @property
    def points(self) -> Float[np.ndarray, "p 3"]:
        return self.corners.reshape(-1, 3)


def check_room(scene: RoomScene) -> list[Fault]:
    """All faults, in the order of the parts; an empty list is a sound room."""
    solids = [_Solid.of(part) for part in scene.parts]
    things = [s for s in solids if s.part.support != "shell"]
    fillings = [s for s in solids if s.part.role in ("door", "window")]
    walls = [s for s in solids if s.part.role == "wall"]
    ceiling = next(s for s in solids if s.part.role == "ceiling")
    by_id = {s.part.instance_id: s for s in solids}
    faults: list[Fault] = []
    for thing in things:
        faults += _upright(thing)
        faults += _supported(thing, by_id, walls, ceiling, scene)
        faults += _outside(thing, ceiling, scene)
        faults += _turned_away(thing, scene)
    faults += _penetrations(things, fillings)
    return [*faults, *_cameras(scene, things)]


def _upright(thing: _Solid) -> Iterator[Fault]:
    turn = thing.part.world_from_part[:3, :3]
    tilt = float(np.linalg.norm(turn[:, 2] - (0, 0, 1)))
    if tilt > 1e-3 or abs(float(np.linalg.det(turn)) - 1) > 1e-3:
        yield Fault("upside-down", thing.part.name, amount_m=tilt)


def _supported(
    thing: _Solid, by_id: dict[int, _Solid], walls: list[_Solid], ceiling: _Solid, scene: RoomScene
) -> Iterator[Fault]:
    match thing.part.support:
        case "floor":
            gap, near = float(thing.low[2]), TOUCH_M
        case "ceiling":
            top = thing.points[thing.points[:, 2] > thing.high[2] - 0.002]
            above = surface_below(top, ceiling.corners, 9.0)
            gap, near = float((above - top[:, 2]).min()), CEILING_TOUCH_M
        case "top":
            carrier = by_id.get(thing.part.stands_on)
            gap, near = (9.0 if carrier is None else _gap_to_top(thing, carrier)), TOUCH_M
        case _:
            gap, near = _gap_to_wall(thing, walls, scene), TOUCH_M
    if gap > near:
        yield Fault("floating", thing.part.name, amount_m=gap)
    elif gap < -TOUCH_M:
        yield Fault("sunken", thing.part.name, amount_m=-gap)


def _gap_to_top(thing: _Solid, carrier: _Solid) -> float:
    """From its base to what is below; a base whose middle lies beyond its support falls, whatever touches."""
    base = np.unique(thing.points[thing.points[:, 2] < thing.low[2] + 0.003].round(5), axis=0)
    below = surface_below(base, carrier.corners, 0.06)
    gaps = base[:, 2] - below
    if not np.isfinite(gaps.min()):
        return 9.0
    touching = base[gaps < gaps.min() + 0.004]
    middle = (base[:, :2].min(axis=0) + base[:, :2].max(axis=0)) / 2
    low, high = touching[:, :2].min(axis=0), touching[:, :2].max(axis=0)
    is_balanced = bool(((middle > low - 0.004) & (middle < high + 0.004)).all())
    return float(gaps.min()) if is_balanced or gaps.min() < 0 else 9.0


def _gap_to_wall(thing: _Solid, walls: list[_Solid], scene: RoomScene) -> float:
    """To the nearest plane of the outline; what touches only the hole of a window hangs in the air."""
    points = np.unique(thing.points.round(5), axis=0)
    distance = _distance_to_outline(points[:, :2], scene.plan_m)
    touching = points[distance < TOUCH_M][:: max(1, int(np.sum(distance < TOUCH_M)) // 40)]
    if len(touching) == 0:
        return float(distance.min())
    return float(distance.min()) if any(_is_on(touching, wall).any() for wall in walls) else 9.0


def _is_on(points: Float[np.ndarray, "p 3"], wall: _Solid) -> Bool[np.ndarray, " p"]:
    """Which points lie before solid wall: a step to both sides of the point meets a triangle of it."""
    a, b, c = (wall.corners[:, k] for k in range(3))
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1)
    flat = length > 1e-9
    a, b, c, normal = a[flat], b[flat], c[flat], normal[flat] / length[flat, None]
    off = np.einsum("pd,td->pt", points, normal) - np.sum(a * normal, axis=1)
    inside = np.abs(off) < 2 * TOUCH_M
    for p, q in ((a, b), (b, c), (c, a)):
        edge = np.cross(normal, q - p)
        inside &= np.einsum("pd,td->pt", points, edge) - np.sum(p * edge, axis=1) >= -1e-6
    return inside.any(axis=1)


def _outside(thing: _Solid, ceiling: _Solid, scene: RoomScene) -> Iterator[Fault]:
    points = np.unique(thing.points.round(4), axis=0)
    out = ~contains(points[:, :2], scene.plan_m)
    beyond = float(_distance_to_outline(points[out, :2], scene.plan_m).max()) if out.any() else 0.0
    if beyond > TOUCH_M:
        yield Fault("outside", thing.part.name, amount_m=beyond)
    if thing.part.support in ("ceiling", "shell"):
        return
    above = surface_below(thing.points[[int(np.argmax(thing.points[:, 2]))]], ceiling.corners, 9.0)
    if np.isfinite(above[0]) and thing.high[2] > above[0] + TOUCH_M:
        yield Fault("outside", thing.part.name, "ceiling", float(thing.high[2] - above[0]))


def _turned_away(thing: _Solid, scene: RoomScene) -> Iterator[Fault]:
    """A step before its front (towards its own -y) must still be in the room."""
    if thing.part.role not in _FRONTED:
        return
    matrix, vertices = thing.part.world_from_part, thing.part.mesh.vertices_m
    ahead = matrix[:3, :3] @ np.array([0.0, float(vertices[:, 1].min()) - FRONT_FREE_M, 0.0]) + matrix[:3, 3]
    if not contains(ahead[None, :2], scene.plan_m)[0]:
        yield Fault("turned-away", thing.part.name)


def _penetrations(things: list[_Solid], fillings: list[_Solid]) -> Iterator[Fault]:
    solids = [s for s in things if s.part.role not in _SINKING_ROLES]
    low, high = np.stack([s.low for s in [*solids, *fillings]]), np.stack([s.high for s in [*solids, *fillings]])
    reach = np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None])
    pairs = np.argwhere((reach > DEEP_M).all(axis=-1))
    every = [*solids, *fillings]
    for i, j in pairs.tolist():
        if i < j and i < len(solids):
            deep = max(_depth(every[i], every[j]), _depth(every[j], every[i]))
            if deep > 0:
                yield Fault("penetration", every[i].part.name, every[j].part.name, deep)


def _depth(one: _Solid, other: _Solid) -> float:
    """0, or how deep (in steps of `DEEP_M`, up to three) points of one lie in the other."""
    low, high = np.maximum(one.low, other.low), np.minimum(one.high, other.high)
    points = _samples(one, low, high)
    points = points[is_inside(points, other.corners)]
    points = points[:: max(1, len(points) // _MOST_DEEP_POINTS)]
    steps = np.concatenate([np.eye(3), -np.eye(3)])
    depth = 0.0
    while len(points) and depth < 3 * DEEP_M:
        moved = (points[:, None] + steps[None] * (depth + DEEP_M)).reshape(-1, 3)
        points = points[is_inside(moved, other.corners).reshape(-1, 6).all(axis=1)]
        depth += DEEP_M if len(points) else 0.0
    return depth


def _samples(one: _Solid, low: Float[np.ndarray, "3"], high: Float[np.ndarray, "3"]) -> Float[np.ndarray, "p 3"]:
    """Corners, middles and points spread over the triangles, as far as they lie in the common box."""
    c = one.corners[((one.corners.min(axis=1) <= high) & (one.corners.max(axis=1) >= low)).all(axis=1)]
    if len(c) == 0:
        return np.zeros((0, 3))
    size = np.sqrt(np.linalg.norm(np.cross(c[:, 1] - c[:, 0], c[:, 2] - c[:, 0]), axis=1))
    spread = [c.reshape(-1, 3), c.mean(axis=1)]
    for count, which in ((3, size > 0.03), (8, size > 0.2), (20, size > 0.6)):  # long triangles need more
        if which.any():
            u, v = np.meshgrid((np.arange(count) + 0.5) / count, (np.arange(count) + 0.5) / count)
            u, v = u[u + v < 1], v[u + v < 1]
            t = c[which]
            spread.append(
                (
                    t[:, None, 0]
                    + u[:, None] * (t[:, None, 1] - t[:, None, 0])
                    + v[:, None] * (t[:, None, 2] - t[:, None, 0])
                ).reshape(-1, 3)
            )
    points = np.concatenate(spread)
    points = points[((points > low + 1e-4) & (points < high - 1e-4)).all(axis=1)]
    return points[:: max(1, len(points) // _MOST_POINTS)]


def _cameras(scene: RoomScene, things: list[_Solid]) -> Iterator[Fault]:
    """In the room, and nothing right before the lens."""
    for number, view in enumerate(scene.views):
        eye = view.world_from_camera[:3, 3]
        if not contains(eye[None, :2], scene.plan_m)[0]:
            yield Fault("camera", f"view-{number}", "outside")
        for thing in things:
            if ((eye > thing.low - CAMERA_CLEAR_M) & (eye < thing.high + CAMERA_CLEAR_M)).all():
                distance = float(
                    np.linalg.norm(_samples(thing, eye - CAMERA_CLEAR_M, eye + CAMERA_CLEAR_M) - eye, axis=1).min(
                        initial=9
                    )
                )
                if distance < CAMERA_CLEAR_M:
                    yield Fault("camera", f"view-{number}", thing.part.name, distance)


def contains(points_m: Float[np.ndarray, "n 2"], outline_m: Float[np.ndarray, "p 2"]) -> Bool[np.ndarray, " n"]:
    """Even-odd rule; points on the outline may fall to either side."""
    x, y = points_m[:, 0, None], points_m[:, 1, None]
    (x0, y0), (x1, y1) = outline_m.T, np.roll(outline_m, -1, axis=0).T
    spanned = (y0 > y) != (y1 > y)
    rise = np.where(y1 == y0, 1.0, y1 - y0)
    return (np.sum(spanned & (x < x0 + (y - y0) * (x1 - x0) / rise), axis=1) % 2).astype(bool)


def _distance_to_outline(
    points_m: Float[np.ndarray, "n 2"], outline_m: Float[np.ndarray, "p 2"]
) -> Float[np.ndarray, " n"]:
    along = np.roll(outline_m, -1, axis=0) - outline_m
    share = ((points_m[:, None] - outline_m) * along).sum(-1) / (along**2).sum(-1)
    return np.linalg.norm(points_m[:, None] - outline_m - share.clip(0, 1)[..., None] * along, axis=-1).min(axis=1)
