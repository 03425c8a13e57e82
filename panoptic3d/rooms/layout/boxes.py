"""Upright boxes turned about the vertical: what layouts test for collisions, finer than one box a thing."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from panoptic3d.rooms.scene import Model

_MOST_BOXES, _NUM_SLABS = 40, 8


@dataclass(frozen=True, eq=False)
class Boxes:
    """`n` boxes: centre and half size in the plane, turn, and heights."""

    centre_m: Float[np.ndarray, "n 2"]
    half_m: Float[np.ndarray, "n 2"]
    yaw_rad: Float[np.ndarray, " n"]
    low_m: Float[np.ndarray, " n"]
    high_m: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.low_m)

    @property
    def axes(self) -> Float[np.ndarray, "n 2 2"]:
        """Unit vectors of each box's own x and y."""
        c, s = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        return np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], axis=1)

    def corners(self) -> Float[np.ndarray, "n 4 2"]:
        signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        return self.centre_m[:, None] + np.einsum("ks,ns,nsd->nkd", signs, self.half_m, self.axes)

    def grown(self, by_m: float | Float[np.ndarray, "n 1"]) -> "Boxes":
        return Boxes(self.centre_m, self.half_m + by_m, self.yaw_rad, self.low_m, self.high_m)

    def placed(self, x: float, y: float, z: float | int, yaw_deg: float) -> "Boxes":
        """Turned about the origin's vertical, then moved."""
        a = np.radians(yaw_deg)
        turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        return Boxes(self.centre_m @ turn.T + (x, y), self.half_m, self.yaw_rad + a, self.low_m + z, self.high_m + z)

    @classmethod
    def joined(cls, many: list["Boxes"]) -> "Boxes":
        fields = ("centre_m", "half_m", "yaw_rad", "low_m", "high_m")
        if not many:
            return cls(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0))
        return cls(*(np.concatenate([getattr(b, name) for b in many]) for name in fields))

    @classmethod
    def rectangle(cls, x0: float, y0: float, x1: float, y1: float, low: float, high: float) -> "Boxes":
        centre, half = np.array([[(x0 + x1) / 2, (y0 + y1) / 2]]), np.array([[abs(x1 - x0) / 2, abs(y1 - y0) / 2]])
        return cls(centre, half, np.zeros(1), np.array([low], dtype=np.float64), np.array([high], dtype=np.float64))


def overlaps(a: Boxes, b: Boxes, slack_m: float = 0.002) -> Bool[np.ndarray, "n m"]:
    """Which pairs overlap by more than `slack` (separating axes, for the pairs whose circles meet)."""
    between = b.centre_m[None] - a.centre_m[:, None]
    reach = np.hypot(*a.half_m.T)[:, None] + np.hypot(*b.half_m.T)[None]
    high = np.minimum(a.high_m[:, None], b.high_m[None]) - np.maximum(a.low_m[:, None], b.low_m[None])
    found = (high > slack_m) & ((between**2).sum(-1) < reach**2)
    i, j = np.nonzero(found)
    if len(i) == 0:
        return found
    apart, axes_a, axes_b = between[i, j], a.axes[i], b.axes[j]
    for axes in (axes_a, axes_b):
        gap = np.abs(np.einsum("pd,pkd->pk", apart, axes))
        half_a = np.einsum("pe,pek->pk", a.half_m[i], np.abs(np.einsum("ped,pkd->pek", axes_a, axes)))
        half_b = np.einsum("pe,pek->pk", b.half_m[j], np.abs(np.einsum("ped,pkd->pek", axes_b, axes)))
        found[i, j] &= (gap < half_a + half_b - slack_m).all(axis=1)
    return found


@lru_cache(maxsize=512)
def solid_boxes(model: Model) -> Boxes:
    """One box for each connected piece of the mesh, or, of things with many pieces, one for each of eight layers."""
    vertices, triangles = model.mesh.vertices_m.astype(np.float64), model.mesh.triangles
    n = len(vertices)
    edges = coo_matrix(
        (np.ones(2 * len(triangles)), (np.tile(triangles[:, 0], 2), triangles[:, 1:].T.ravel())), shape=(n, n)
    )
    count, piece = connected_components(edges, directed=False)
    if count > _MOST_BOXES:
        height = max(float(vertices[:, 2].max()), 1e-6)
        count, piece = _NUM_SLABS, np.minimum((vertices[:, 2] / height * _NUM_SLABS).astype(int), _NUM_SLABS - 1)
        return _slabs(vertices, triangles, piece)
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, piece, vertices)
    np.maximum.at(high, piece, vertices)
    return _upright(low[np.isfinite(low[:, 0])], high[np.isfinite(low[:, 0])])


def _slabs(vertices: Float[np.ndarray, "v 3"], triangles: np.ndarray, layer: np.ndarray) -> Boxes:
    """A triangle that spans several layers counts in each of them."""
    corner_layers = layer[triangles]
    lows, highs = [], []
    height = float(vertices[:, 2].max()) / _NUM_SLABS
    for k in range(_NUM_SLABS):
        touched = (corner_layers.min(axis=1) <= k) & (corner_layers.max(axis=1) >= k)
        if touched.any():
            corners = vertices[triangles[touched]].reshape(-1, 3)
            lows.append([*corners[:, :2].min(axis=0), k * height])
            highs.append([*corners[:, :2].max(axis=0), (k + 1) * height])
    return _upright(np.array(lows), np.array(highs))


def _upright(low: Float[np.ndarray, "n 3"], high: Float[np.ndarray, "n 3"]) -> Boxes:
    return Boxes((low + high)[:, :2] / 2, (high - low)[:, :2] / 2, np.zeros(len(low)), low[:, 2], high[:, 2])
