"""Camera poses that see furniture: in the free floor, nothing close before the lens, things in the picture."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float

from panoptic3d.rooms.layout.boxes import Boxes
from panoptic3d.rooms.layout.cameras import DrawStance, level_stance, released_stance, varied_stance
from panoptic3d.rooms.layout.config import LayoutConfig
from panoptic3d.rooms.layout.space import Space
from panoptic3d.rooms.scene import Part, View

NEAREST_M = 0.42
_GRID = (24, 32)  # rows and columns of the coarse picture that candidates are judged by
_CANDIDATES = 90  # for each way to hold the camera
_BELOW_CEILING_M = 0.3
_CLOSE_M = 1.0  # what is nearer fills the picture
_SAMPLES_M2 = 90


@dataclass(frozen=True, eq=False)
class _Cloud:
    """Points on all surfaces; `thing` is the index of a part, or -1 on walls, floor and ceiling."""

    points_m: Float[np.ndarray, "n 3"]
    thing: np.ndarray


def draw_views(
    random: np.random.Generator, space: Space, parts: tuple[Part, ...], options: LayoutConfig
) -> tuple[View, ...]:
    """The best of many candidates, or as many as there are; each chosen view makes those that see the same less welcome."""
    cloud, solid = _cloud(random, parts), Boxes.joined(space.solids)
    spots = space.free_points()
    spots = spots[space.plan.distance_to_walls_m(spots) > 0.35] if len(spots) else spots
    chosen: list[View] = []
    times_seen: dict[int, int] = {}
    for stance, count in _stances(options):
        candidates = [_candidate(random, spots, cloud, stance, space) for _ in range(_CANDIDATES)] if len(spots) else []
        seen = [(view, *_score(view, cloud)) for view in candidates if _is_clear(view, solid, space)]
        for _ in range(min(count, len(seen))):
            worth = [_worth(shares, near, times_seen) - _likeness(view, chosen) for view, shares, near in seen]
            view, shares, _ = seen.pop(int(np.argmax(worth)))
            chosen.append(view)
            for thing in shares:
                times_seen[thing] = times_seen.get(thing, 0) + 1
    return tuple(chosen)


def _stances(options: LayoutConfig) -> list[tuple[DrawStance, int]]:
    """How cameras are held, and for how many views."""
    released = partial(released_stance, size=(options.width, options.height))
    match options.camera:
        case "release":
            return [(released, options.num_views)]
        case "varied":
            return [(varied_stance, options.num_views)]
        case "level":
            return [(level_stance, options.num_views)]
        case "any":
            ways = (released, level_stance, varied_stance)
            return list(zip(ways, (1, 1, options.num_views - 2), strict=True))[: options.num_views]
        case "mixed":
            half = (options.num_views + 1) // 2
            return [(released, half), (varied_stance, options.num_views - half)]


def _cloud(random: np.random.Generator, parts: tuple[Part, ...]) -> _Cloud:
    points, things = [], []
    for index, part in enumerate(parts):
        corners = part.mesh.vertices_m[part.mesh.triangles].astype(np.float64)
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
        total = float(area.sum())
        count = int(np.clip(total * _SAMPLES_M2, 12, 900))
        picked = np.searchsorted(np.cumsum(area) / total, (np.arange(count) + random.random()) / count).clip(
            0, len(area) - 1
        )
        u, v = random.random((2, count))
        flip = u + v > 1
        u, v = np.where(flip, 1 - u, u)[:, None], np.where(flip, 1 - v, v)[:, None]
        c = corners[picked]
        local = c[:, 0] + u * (c[:, 1] - c[:, 0]) + v * (c[:, 2] - c[:, 0])
        points.append(local @ part.world_from_part[:3, :3].T + part.world_from_part[:3, 3])
        is_shown = part.is_thing and part.role not in ("rug", "curtain", "picture")
        things.append(np.full(count, index if is_shown else -1))
    return _Cloud(np.concatenate(points), np.concatenate(things))


def _candidate(
    random: np.random.Generator, spots: Float[np.ndarray, "n 2"], cloud: _Cloud, draw_stance: DrawStance, space: Space
) -> View:
    """From a free spot towards a point of some thing, not quite centred."""
    spot = spots[int(random.integers(len(spots)))] + random.uniform(-0.04, 0.04, 2)
    targets = np.flatnonzero(cloud.thing >= 0)
    goal = cloud.points_m[int(random.choice(targets))] if len(targets) else np.zeros(3)
    heading = np.degrees(np.arctan2(goal[1] - spot[1], goal[0] - spot[0])) + random.normal(0, 9)
    stance = draw_stance(random)
    height_m = min(stance.height_m, space.plan.eaves_m - _BELOW_CEILING_M)
    position_m = (float(spot[0]), float(spot[1]), height_m)
    return View(stance.camera, pose(position_m, heading, stance.pitch_deg, stance.roll_deg))


def pose(
    position_m: tuple[float, float, float], heading_deg: float, pitch_deg: float = 0.0, roll_deg: float = 0.0
) -> Float[np.ndarray, "4 4"]:
    """`world_from_camera`: heading anticlockwise from +x, pitch upwards, roll clockwise as the viewer tilts."""
    h, p, r = np.radians([heading_deg, pitch_deg, roll_deg])
    ahead = np.array([np.cos(h) * np.cos(p), np.sin(h) * np.cos(p), np.sin(p)])
    right = np.array([np.sin(h), -np.cos(h), 0.0])
    down = np.cross(ahead, right)
    matrix = np.eye(4)
    matrix[:3, 0] = np.cos(r) * right + np.sin(r) * down
    matrix[:3, 1] = np.cos(r) * down - np.sin(r) * right
    matrix[:3, 2], matrix[:3, 3] = ahead, position_m
    return matrix.round(9)


def _is_clear(view: View, solid: Boxes, space: Space) -> bool:
    """No box and no wall within the nearest distance of the camera."""
    eye = view.world_from_camera[:3, 3]
    local = np.einsum("nd,nkd->nk", eye[None, :2] - solid.centre_m, solid.axes)
    aside = (np.abs(local) - solid.half_m).clip(0)
    above = np.maximum(np.maximum(solid.low_m - eye[2], eye[2] - solid.high_m), 0.0)
    distance = np.sqrt((aside**2).sum(axis=1) + above**2)
    ahead = view.world_from_camera[:2, 2] * 0.75
    is_open = space.plan.contains(np.stack([eye[:2] + ahead * share for share in (0.34, 0.67, 1.0)])).all()
    return bool(is_open and (len(distance) == 0 or distance.min() > NEAREST_M))


def _score(view: View, cloud: _Cloud) -> tuple[dict[int, float], float]:
    """Fraction of a coarse image that each thing covers, with occlusion; and the fraction that is too near."""
    matrix, camera = view.world_from_camera, view.camera
    local = (cloud.points_m - matrix[:3, 3]) @ matrix[:3, :3]
    z = local[:, 2]
    ahead = z > 0.1
    local, z, thing = local[ahead], z[ahead], cloud.thing[ahead]
    column = ((local[:, 0] / z * camera.fx_px + camera.cx_px + 0.5) / camera.width * _GRID[1]).astype(np.int64)
    row = ((local[:, 1] / z * camera.fy_px + camera.cy_px + 0.5) / camera.height * _GRID[0]).astype(np.int64)
    inside = (column >= 0) & (column < _GRID[1]) & (row >= 0) & (row < _GRID[0])
    cell, z, thing = (row * _GRID[1] + column)[inside], z[inside], thing[inside]
    order = np.lexsort((z, cell))
    cell, z, thing = cell[order], z[order], thing[order]
    first = np.concatenate([[True], cell[1:] != cell[:-1]]) if len(cell) else np.zeros(0, dtype=bool)
    shown, depth = thing[first], z[first]
    is_near = depth < 6.0
    counts = np.bincount(shown[(shown >= 0) & is_near]) if (shown >= 0).any() else np.zeros(0)
    share = counts / (_GRID[0] * _GRID[1])
    near = float(np.mean(depth < _CLOSE_M)) if len(depth) else 1.0
    return {int(k): float(share[k]) for k in np.flatnonzero(share > 0.004)}, near


def _likeness(view: View, chosen: list[View]) -> float:
    """How much a view repeats those already chosen: the same place and direction cost most."""
    cost = 0.0
    for other in chosen:
        apart_m = float(np.linalg.norm(view.world_from_camera[:3, 3] - other.world_from_camera[:3, 3]))
        turned = 1.0 - float(view.world_from_camera[:3, 2] @ other.world_from_camera[:3, 2])
        cost += 0.9 * float(np.exp(-((apart_m / 0.9) ** 2) - turned / 0.12))
    return cost


def _worth(shares: dict[int, float], near: float, times_seen: dict[int, int]) -> float:
    """Some things at a good size; filling the frame with one of them is as dull as a wall."""
    covered, largest = sum(shares.values()), max(shares.values(), default=0.0)
    gain = sum(min(share, 0.15) ** 0.5 / (1 + times_seen.get(thing, 0)) for thing, share in shares.items())
    dull = max(0.0, covered - 0.55) + 2.0 * max(0.0, largest - 0.28) + 3.0 * max(0.0, 0.06 - covered) + 1.5 * near
    return gain - 2.0 * dull
