"""Free space around an unsigned distance field's surface, as connected regions: docs/adr/0006-meshes-and-page.md.

An unsigned field does not say on which side of a surface a point is. Free space does: points at least `SHELL_VOX` away from
every surface fall into regions (the room, the inside of a cabinet, what is behind a wall) between which no way leads.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Int64
from scipy import ndimage

# Of the two ends of a grid edge through a surface one is at most 0.5 away: a thicker shell is closed. The rest is for noise.
SHELL_VOX = 0.8
_CORE_VOX = 1.1  # noise of 0.2 makes this of what is at most 0.5 once in a million edges
TRUNCATION_VOX = 3.0
_PAD = 3  # so that a neighbour's neighbour is an address
_NOWHERE_VOX = 1e3
_LEAST_REGION = 8  # grid points; fewer are noise within the shell
_LEFT_OUT_VOX = 0.75  # more than noise
_STEPS_OF_VIEW = 200


@dataclass(frozen=True, eq=False)
class FreeSpace:
    """Flat arrays over a padded window of the grid. `rank` orders regions: the camera's first, then larger before smaller."""

    shape: tuple[int, int, int]  # padded
    start: Int64[np.ndarray, "3"]  # grid index of the first padded point
    field: Float32[np.ndarray, " cells"]
    is_known: Bool[np.ndarray, " cells"]
    region: Int32[np.ndarray, " cells"]  # 0 within the shell and where nothing is known
    rank: Int64[np.ndarray, " regions"]  # by region; that of region 0 is after all others

    @property
    def strides(self) -> Int64[np.ndarray, "3"]:
        return np.array([self.shape[1] * self.shape[2], self.shape[2], 1])

    @property
    def is_free(self) -> Bool[np.ndarray, " cells"]:
        return self.region > 0

    def index_of(self, flat: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, "m 3"]:
        """Grid index."""
        return np.stack(np.unravel_index(flat, self.shape), axis=1) + self.start

    def nearest(self, index: Float[np.ndarray, "m 3"]) -> Int64[np.ndarray, " m"]:
        """The flat address of the grid point nearest to each place; places outside are moved to the padding."""
        at = np.clip(np.rint(index - self.start).astype(np.int64), 0, np.array(self.shape) - 1)
        return at @ self.strides


def find_free_space(
    distance_vox: Float32[np.ndarray, "x y z"],
    camera_index: Float[np.ndarray, "3"],
    is_known: Bool[np.ndarray, "x y z"] | None = None,
) -> FreeSpace | None:
    """Free space in front of the surfaces; None without any surface. Unknown voxels end surfaces and block paths."""
    near = distance_vox < TRUNCATION_VOX
    if not near.any():
        return None
    eye = np.clip(np.rint(camera_index), 0, np.array(distance_vox.shape) - 1).astype(np.int64)
    start, window = _window(near, eye)
    field = np.pad(np.minimum(distance_vox[window], TRUNCATION_VOX), _PAD, constant_values=_NOWHERE_VOX)
    known = np.ones(near.shape, np.bool_)[window] if is_known is None else (is_known | near)[window]
    known = np.pad(known, _PAD, constant_values=False)
    field = _mended(field, known)
    region, size = _regions(field, known)
    shape = (field.shape[0], field.shape[1], field.shape[2])
    start = start - _PAD
    first = _first_seen(region, eye - start, (camera_index - start + np.array(shape) / 2) / 2)
    return FreeSpace(shape, start, field.ravel(), known.ravel(), region.ravel(), _ranks(size, first))


def _window(near: Bool[np.ndarray, "x y z"], eye: np.ndarray) -> tuple[Int64[np.ndarray, "3"], tuple[slice, ...]]:
    """The smallest box around everything that matters, and the eye; most of a grid is far from any surface."""
    spans = [np.flatnonzero(near.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    low = np.array([min(int(s[0]), e) for s, e in zip(spans, eye, strict=True)])
    high = np.array([max(int(s[-1]), e) for s, e in zip(spans, eye, strict=True)])
    return low, tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))


def _mended(field: Float32[np.ndarray, "x y z"], known: np.ndarray) -> Float32[np.ndarray, "x y z"]:
    """A distance grows by at most the way. Points that a network left out of its band (they read as far) get what their
    neighbours allow; true distances stay as they are.
    """
    flat, is_known = field.ravel(), known.ravel()
    strides = np.array([field.shape[1] * field.shape[2], field.shape[2], 1])
    limit = np.full(flat.size, np.inf, np.float32)
    near = np.flatnonzero(
        (flat < TRUNCATION_VOX - 1 - _LEFT_OUT_VOX) & is_known
    )  # farther voxels set no limit below the truncation
    distance = flat.take(near)
    for step in neighbour_steps():
        there = near + step @ strides
        limit[there] = np.minimum(limit.take(there), distance + np.float32(np.linalg.norm(step)))
    is_left_out = is_known & (flat > limit + _LEFT_OUT_VOX)
    return np.where(is_left_out, limit, flat).reshape(field.shape)


@lru_cache(maxsize=1)
def neighbour_steps() -> tuple[Int64[np.ndarray, "3"], ...]:
    """To the 18 neighbours over faces and edges; the second half leads back, in the opposite order."""
    steps = [np.array([i, j, k]) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]
    return tuple(step for step in steps if 0 < np.abs(step).sum() <= 2)


def _regions(
    field: Float32[np.ndarray, "x y z"], known: Bool[np.ndarray, "x y z"]
) -> tuple[Int32[np.ndarray, "x y z"], Int64[np.ndarray, " regions"]]:
    """Connected regions of voxels farther than `_CORE_VOX` from surfaces, grown to the shell; so noise opens no passages."""
    region = np.zeros(field.shape, np.int32)
    ndimage.label(known & (field >= _CORE_VOX), output=region)
    rim = np.flatnonzero(known & (field >= SHELL_VOX) & (field < _CORE_VOX))
    _grow(region.ravel(), field.ravel(), rim, region.shape)
    ndimage.label(region > 0, output=region)  # regions do not touch; what was grown astray is a speck now
    size = np.bincount(region.ravel())
    size[0] = 0
    is_speck = size < _LEAST_REGION
    region[is_speck[region]] = 0
    return region, np.where(is_speck, 0, size)


def _grow(region: np.ndarray, field: np.ndarray, rim: np.ndarray, shape: tuple[int, ...]) -> None:
    """Rim points take the region of their farthest neighbour, ring by ring. Of two regions that then touch, the nearer point
    goes back to the shell.
    """
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    rest = rim
    while len(rest):
        best, farthest = np.zeros(len(rest), region.dtype), np.zeros(len(rest), np.float32)
        for step in neighbour_steps():
            there = rest + step @ strides
            is_better = (region[there] > 0) & (field[there] > farthest)
            best[is_better], farthest[is_better] = region[there[is_better]], field[there[is_better]]
        region[rest] = best
        if not best.any():
            break
        rest = rest[best == 0]
    grown = rim[region[rim] > 0]
    for stride in (*strides, *-strides):
        there = grown + stride
        touches = (region[there] > 0) & (region[there] != region[grown]) & (field[grown] <= field[there])
        region[grown[touches]] = 0
        grown = grown[~touches]


def _first_seen(region: np.ndarray, eye: np.ndarray, toward: np.ndarray) -> int:
    """The region in front of the camera: the first free point on the way from the eye into the grid."""
    share = np.linspace(0, 1, _STEPS_OF_VIEW)[:, None]
    way = np.clip(np.rint(eye * (1 - share) + toward * share).astype(np.int64), 0, np.array(region.shape) - 1)
    met = region[way[:, 0], way[:, 1], way[:, 2]]
    return int(met[met > 0][0]) if (met > 0).any() else 0


def _ranks(size: Int64[np.ndarray, " regions"], first: int) -> Int64[np.ndarray, " regions"]:
    weight = size.astype(np.int64)
    if first:
        weight[first] = size.max() + 1
    rank = np.empty(len(size), np.int64)
    rank[np.argsort(-weight, kind="stable")] = np.arange(len(size))
    rank[0] = len(size)
    return rank
