"""The outline of a room and its ceiling: right angles, anticlockwise seen from above."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from panoptic3d.rooms.layout.config import LayoutConfig, RoomType

# Width and depth of the base rectangle in metres.
_SIZES: dict[RoomType, tuple[tuple[float, float], tuple[float, float]]] = {
    "bedroom": ((3.2, 5.0), (3.0, 4.6)),
    "child": ((3.0, 4.2), (2.9, 4.0)),
    "living": ((4.2, 6.8), (3.8, 5.6)),
    "dining": ((3.4, 5.2), (3.2, 4.6)),
    "study": ((3.0, 4.4), (2.8, 4.0)),
    "kitchen": ((3.4, 5.2), (3.0, 4.6)),
    "studio": ((5.0, 7.2), (4.2, 5.8)),
}


@dataclass(frozen=True, eq=False)
class Wall:
    """One straight piece of the outline; the room lies to the left of `start` -> `start + length * along`."""

    index: int
    start: Float[np.ndarray, "2"]
    along: Float[np.ndarray, "2"]
    length: float

    @property
    def inward(self) -> Float[np.ndarray, "2"]:
        return np.array([-self.along[1], self.along[0]])

    def at(self, s_m: float | int, off_m: float | int = 0.0) -> Float[np.ndarray, "2"]:
        """`s` along the wall, `off` into the room."""
        return self.start + self.along * s_m + self.inward * off_m

    @property
    def yaw_deg(self) -> float:
        """Turns a model whose back is at +y so that it backs onto this wall."""
        x, y = self.inward.tolist()
        return float(np.degrees(np.arctan2(x, -y)))


@dataclass(frozen=True, eq=False)
class Plan:
    outline_m: Float[np.ndarray, "p 2"]
    eaves_m: float  # height of the walls, at the eaves if the ceiling is pitched
    ridge_m: float  # height of the ridge; equal to `eaves_m` for a flat ceiling
    ridge_axis: int = 0  # the ridge runs along x (0) or y (1)
    kind: str = "rectangle"

    @property
    def is_pitched(self) -> bool:
        return self.ridge_m > self.eaves_m

    @property
    def ridge_at_m(self) -> float:
        """Where the ridge lies on the other axis: the middle."""
        across = self.outline_m[:, 1 - self.ridge_axis]
        return float(across.min() + across.max()) / 2

    def ceiling_m(self, points_m: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n"]:
        across = points_m[..., 1 - self.ridge_axis]
        edges = self.outline_m[:, 1 - self.ridge_axis]
        half = float(np.ptp(edges)) / 2
        share = 1 - np.abs(across - self.ridge_at_m) / half
        return self.eaves_m + (self.ridge_m - self.eaves_m) * share.clip(0, 1)

    def walls(self) -> list[Wall]:
        steps = np.roll(self.outline_m, -1, axis=0) - self.outline_m
        lengths = np.linalg.norm(steps, axis=1)
        return [Wall(k, self.outline_m[k], steps[k] / lengths[k], float(lengths[k])) for k in range(len(lengths))]

    def contains(self, points_m: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
        return is_within(self.outline_m, points_m)

    def distance_to_walls_m(self, points_m: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
        a, b = self.outline_m, np.roll(self.outline_m, -1, axis=0)
        along = b - a
        share = ((points_m[:, None] - a) * along).sum(-1) / (along**2).sum(-1)
        nearest = a + share.clip(0, 1)[..., None] * along
        return np.linalg.norm(points_m[:, None] - nearest, axis=-1).min(axis=1)

    @property
    def area_m2(self) -> float:
        x, y = self.outline_m.T
        return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def draw_plan(random: np.random.Generator, room_type: RoomType, options: LayoutConfig) -> Plan:
    (w0, w1), (d0, d1) = _SIZES[room_type]
    width, depth = float(random.uniform(w0, w1)), float(random.uniform(d0, d1))
    kind = options.plan or str(random.choice(["rectangle", "l-shape", "niches", "columns"], p=[0.45, 0.2, 0.15, 0.2]))
    outline = np.array([(0, 0), (width, 0), (width, depth), (0, depth)], dtype=np.float64)
    if kind == "l-shape":
        outline = _l_shape(random, width + 0.6, depth + 0.6)
    height = float(random.uniform(2.45, 3.0))
    is_pitched = kind != "l-shape" and random.random() < 0.15
    if kind in ("niches", "columns"):
        for _ in range(int(random.integers(1, 4))):
            outline = _with_notch(random, outline, is_column=kind == "columns")
    outline = np.round(outline - (outline.min(axis=0) + outline.max(axis=0)) / 2, 3)
    plan = Plan(outline, height, height, kind=kind)
    if not is_pitched:
        return plan
    axis = 0 if width > depth else 1
    pitched = replace(
        plan, eaves_m=max(2.3, height - 0.4), ridge_m=height + float(random.uniform(0.4, 0.9)), ridge_axis=axis
    )
    return pitched if _num_ridge_ends(pitched) == 2 else plan


def _num_ridge_ends(plan: Plan) -> int:
    """Edges that the ridge line crosses; a corner near it counts as more, which rules the pitch out."""
    across = plan.outline_m[:, 1 - plan.ridge_axis] - plan.ridge_at_m
    if np.abs(across).min() < 0.02:
        return 9
    return int(np.sum(across * np.roll(across, -1) < 0))


def _l_shape(random: np.random.Generator, width: float, depth: float) -> Float[np.ndarray, "p 2"]:
    """A rectangle less one corner, each arm at least 2.3 m wide."""
    cut_w, cut_d = (float(random.uniform(0.9, max(1.0, min(size - 2.3, size * 0.5)))) for size in (width, depth))
    corner = [
        (0, 0),
        (width, 0),
        (width, depth - cut_d),
        (width - cut_w, depth - cut_d),
        (width - cut_w, depth),
        (0, depth),
    ]
    outline = np.array(corner, dtype=np.float64)
    if random.random() < 0.5:
        outline = outline[::-1] * (-1, 1)  # mirrored
    for _ in range(int(random.integers(4))):  # turned by quarters
        outline = outline @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    return outline


def _with_notch(
    random: np.random.Generator, outline: Float[np.ndarray, "p 2"], is_column: bool
) -> Float[np.ndarray, "q 2"]:
    """A column that stands into the room, or a niche that leaves it, in one of the long walls."""
    steps = np.roll(outline, -1, axis=0) - outline
    lengths = np.linalg.norm(steps, axis=1)
    long = np.flatnonzero(lengths > 2.4)
    if len(long) == 0:
        return outline
    k = int(random.choice(long))
    along = steps[k] / lengths[k]
    inward = np.array([-along[1], along[0]])
    size = float(random.uniform(0.25, 0.55) if is_column else random.uniform(0.9, 1.5))
    deep = float(random.uniform(0.15, 0.4)) * (1 if is_column else -1)
    start = float(random.uniform(0.4, lengths[k] - size - 0.4))
    points = [
        outline[k] + along * s + inward * d
        for s, d in ((start, 0), (start, deep), (start + size, deep), (start + size, 0))
    ]
    return np.concatenate([outline[: k + 1], points, outline[k + 1 :]])


def is_within(outline_m: Float[np.ndarray, "p 2"], points_m: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
    """Even-odd rule; points on the outline may fall to either side."""
    x, y = points_m[:, 0, None], points_m[:, 1, None]
    (x0, y0), (x1, y1) = outline_m.T, np.roll(outline_m, -1, axis=0).T
    is_spanned = (y0 > y) != (y1 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
    return (np.sum(is_spanned & (x < crossing), axis=1) % 2).astype(bool)
