"""Robust planes of a room: gravity and floor first, then walls upright on it, in two directions at right angles. In the
end all planes together are turned to where all of their evidence is.

Points are metres in the camera frame. A plane is `normal @ point = offset`.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_STEEPEST = 0.75  # cosine between the photo's up and the room's: cameras are tilted by less
_BIN_M = 0.03
_COARSE_DEG, _FINE_DEG = 2.0, 0.25
_REFINEMENTS = 4
_MOST_TURN = 0.05  # radians in one refinement of all planes together


@dataclass(frozen=True)
class PlaneRules:
    """Thresholds for planes of a room."""

    band_m: float = 0.05  # evidence so near to a plane is of that plane
    least_points: int = 300
    least_length_m: float = 0.6  # of a wall, as far as it is seen
    least_share: float = 0.1  # of a wall in all evidence for walls
    apart_m: float = 0.4  # between parallel walls


@dataclass(frozen=True, eq=False)
class Plane:
    normal: Float[Tensor, "3"]
    offset_m: float

    def distance_m(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Signed, along the normal."""
        return points @ self.normal - self.offset_m


@dataclass(frozen=True, eq=False)
class RoomPlanes:
    """`floor` and `ceiling` where there is evidence; their normals and `up` point up, those of walls to the camera."""

    up: Float[Tensor, "3"]
    floor: Plane | None
    ceiling: Plane | None
    walls: tuple[Plane, ...]


def fit_room(
    floor: Float[Tensor, "f 3"],
    ceiling: Float[Tensor, "c 3"],
    wall: Float[Tensor, "w 3"],
    rules: PlaneRules,
    up: Float[Tensor, "3"] | None = None,
) -> RoomPlanes:
    """Fit floor, ceiling, and walls. `up` is an estimate of gravity; a large enough floor overrides it."""
    start = wall.new_tensor([0.0, -1.0, 0.0]) if up is None else up.to(wall)
    ground = level_plane(floor, start, rules) if len(floor) >= rules.least_points else None
    vertical = start if ground is None else ground.normal
    top = level_plane(ceiling, vertical, rules) if len(ceiling) >= rules.least_points else None
    if ground is None and top is not None:
        vertical = top.normal
    walls = upright_planes(wall, vertical, rules)
    return _turned_together(RoomPlanes(vertical, ground, top, walls), floor, ceiling, wall, rules)


def level_plane(points: Float[Tensor, "n 3"], up: Float[Tensor, "3"], rules: PlaneRules) -> Plane | None:
    """Where most points lie at one height, then least squares among those near it; None if that is too steep."""
    normal = up
    offset = _peak(points @ normal)
    for step in range(_REFINEMENTS):
        band = rules.band_m * (3.0 if step == 0 else 1.5)
        own = points[(points @ normal - offset).abs() < band]
        if len(own) < rules.least_points // 2:
            return None
        centre = own.mean(dim=0)
        covariance = (own - centre).T @ (own - centre)
        normal = torch.linalg.eigh(covariance)[1][:, 0]
        normal = normal * (normal @ up).sign()
        offset = float(centre @ normal)
    return Plane(normal, offset) if float(normal @ up) > _STEEPEST else None


def upright_planes(points: Float[Tensor, "n 3"], up: Float[Tensor, "3"], rules: PlaneRules) -> tuple[Plane, ...]:
    """Walls in the two directions in which most of the evidence lines up."""
    if len(points) < rules.least_points:
        return ()
    east, north = _level_axes(up)
    flat = torch.stack((points @ east, points @ north), dim=1)
    columns, weight = _columns(flat)
    angle = _yaw(columns, weight)
    walls = []
    for turn in (angle, angle + math.pi / 2):
        direction = flat.new_tensor([math.cos(turn), math.sin(turn)])
        normal = direction[0] * east + direction[1] * north
        for offset in _lines(columns @ direction, weight, rules):
            sign = 1.0 if offset <= 0 else -1.0  # the camera is at the origin
            walls.append(Plane(normal * sign, offset * sign))
    return tuple(walls)


def _turned_together(
    room: RoomPlanes,
    floor: Float[Tensor, "f 3"],
    ceiling: Float[Tensor, "c 3"],
    wall: Float[Tensor, "w 3"],
    rules: PlaneRules,
) -> RoomPlanes:
    """A narrow strip of floor says little of what is upright, a large wall much. Right angles stay: one rotation turns all
    planes, by least squares among the evidence near them, and each plane then lies in the middle of its own.
    """
    if not room.walls:  # a floor alone is where its own least squares put it
        return room
    level = [(plane, points) for plane, points in ((room.floor, floor), (room.ceiling, ceiling)) if plane is not None]
    for _ in range(_REFINEMENTS):
        planes = [*level, *((plane, wall) for plane in room.walls)]
        evidence = [points[plane.distance_m(points).abs() < rules.band_m] for plane, points in planes]
        turn = _small_turn([plane for plane, _ in planes], evidence)
        moved = [_moved(plane, turn, own) for (plane, _), own in zip(planes, evidence, strict=True)]
        level = [(plane, points) for plane, (_, points) in zip(moved, level, strict=False)]
        room = replace(room, up=F.normalize(turn @ room.up, dim=0), walls=tuple(moved[len(level) :]))
    rest = [plane for plane, _ in level]
    ground = rest.pop(0) if room.floor is not None else None
    return replace(room, floor=ground, ceiling=rest[0] if rest else None)


def _small_turn(planes: list[Plane], evidence: list[Float[Tensor, "_ 3"]]) -> Float[Tensor, "3 3"]:
    """The rotation after which the points of each plane lie flattest. Its vector `w` moves a point's distance from a plane
    through the middle of its points by `(normal x point) @ w`, and where nothing speaks for a turn there is none.
    """
    matrix, target = planes[0].normal.new_zeros(3, 3), planes[0].normal.new_zeros(3)
    for plane, points in zip(planes, evidence, strict=True):
        centred = points - points.mean(dim=0) if len(points) else points
        lever = torch.linalg.cross(plane.normal.expand_as(centred), centred)
        matrix, target = matrix + lever.T @ lever, target - lever.T @ (centred @ plane.normal)
    turn = torch.linalg.pinv(matrix, hermitian=True, rtol=1e-4) @ target
    turn = turn * (_MOST_TURN / turn.norm().clamp(min=_MOST_TURN))
    x, y, z = turn.unbind()
    zero = torch.zeros_like(x)
    skew = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero)).view(3, 3)
    return torch.linalg.matrix_exp(skew)


def _moved(plane: Plane, turn: Float[Tensor, "3 3"], points: Float[Tensor, "_ 3"]) -> Plane:
    normal = F.normalize(turn @ plane.normal, dim=0)
    return Plane(normal, float((points @ normal).median()) if len(points) else plane.offset_m)


def _level_axes(up: Float[Tensor, "3"]) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    ahead = F.normalize(up.new_tensor([0.0, 0.0, 1.0]) - up * up[2], dim=0)
    return torch.linalg.cross(ahead, up), ahead


def _peak(values: Float[Tensor, " n"]) -> float:
    """The value around which most lie."""
    low = float(values.min())
    bins = ((values - low) / _BIN_M).long()
    return low + (float(_smooth(torch.bincount(bins).float()).argmax()) + 0.5) * _BIN_M


def _smooth(counts: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    kernel = counts.new_tensor([0.25, 0.75, 1.0, 0.75, 0.25])
    return F.conv1d(counts[None, None], kernel[None, None], padding=2)[0, 0]


def _columns(flat: Float[Tensor, "n 2"]) -> tuple[Float[Tensor, "m 2"], Float[Tensor, " m"]]:
    """One point for all that stand above each other; tall ones weigh more, up to a metre."""
    cell, row, count = torch.unique((flat / _BIN_M).floor().long(), dim=0, return_inverse=True, return_counts=True)
    place = flat.new_zeros(len(cell), 2).index_add_(0, row, flat) / count[:, None]
    return place, count.clamp(max=33).to(flat) / 33


def _yaw(columns: Float[Tensor, "m 2"], weight: Float[Tensor, " m"]) -> float:
    """The angle in [0, 90) degrees at which the columns gather on the fewest lines, both ways together."""
    best = _best_angle(columns, weight, 0.0, 90.0, _COARSE_DEG)
    return math.radians(_best_angle(columns, weight, best - _COARSE_DEG, best + _COARSE_DEG, _FINE_DEG))


def _best_angle(columns: Tensor, weight: Tensor, low: float, high: float, step: float) -> float:
    angles = torch.arange(low, high, step, dtype=columns.dtype, device=columns.device)
    cos, sin = angles.deg2rad().cos(), angles.deg2rad().sin()
    x, y = columns.unbind(1)
    score = _gathering(x[:, None] * cos + y[:, None] * sin, weight) + _gathering(
        y[:, None] * cos - x[:, None] * sin, weight
    )
    return float(angles[score.argmax()])


def _gathering(places: Float[Tensor, "m a"], weight: Float[Tensor, " m"]) -> Float[Tensor, " a"]:
    bins = (places / _BIN_M).floor().long()
    bins = bins - bins.amin()
    num = int(bins.max()) + 1
    column = torch.arange(places.shape[1], device=places.device) * num
    counts = torch.bincount(
        (bins + column).reshape(-1), weight[:, None].expand_as(places).reshape(-1), num * places.shape[1]
    ).view(-1, num)
    return (counts**2).sum(dim=1)


def _lines(places: Float[Tensor, " m"], weight: Float[Tensor, " m"], rules: PlaneRules) -> list[float]:
    """Where enough columns stand in line, the strongest first, none too near another one."""
    least = max(rules.least_length_m / _BIN_M * 0.5, rules.least_share * float(weight.sum()))
    low = float(places.min()) - 3 * _BIN_M
    bins = ((places - low) / _BIN_M).long()
    counts = torch.bincount(bins, weight, int(bins.max()) + 4)
    near = _smooth(counts.float())
    found: list[float] = []
    for at in near.argsort(descending=True).tolist():
        place = low + (at + 0.5) * _BIN_M
        own = (places - place).abs() < 1.5 * rules.band_m
        if float(weight[own].sum()) < least:
            break
        if all(abs(place - other) >= rules.apart_m for other in found):
            found.append(_weighted_median(places[own], weight[own]))
    return found


def _weighted_median(values: Float[Tensor, " n"], weight: Float[Tensor, " n"]) -> float:
    order = values.argsort()
    share = weight[order].cumsum(0)
    return float(values[order][int(torch.searchsorted(share, share[-1] / 2).clamp(max=len(values) - 1))])
