"""From an unsigned distance field to the way to the surface, which can be moved to another grid.

A distance |s| has a kink at the surface: between two grid points on its two sides it reads too much, so a field that is
resampled by its values loses its zero. The way to the surface, -s n, changes its length there and not its direction: it is
smooth, and between grid points it is exact for a plane.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64

_STEEPEST = 1.05  # a distance grows by at most the way; more is the border of what is known
_FLATTEST = 0.3  # a gradient that is shorter has no direction worth to be lengthened


@dataclass(frozen=True, eq=False)
class SurfaceOffsets:
    """Offsets to the surface, for the voxels of one grid that are nearer to it than `reach_vox`."""

    row_at: Int32[np.ndarray, "x y z"]  # -1 where there is none
    distance_vox: Float32[np.ndarray, " n"]
    offset_vox: Float32[np.ndarray, "n 3"]  # from the voxel to the nearest point of the surface
    reach_vox: float

    @classmethod
    def of(cls, distance_vox: Float32[np.ndarray, "x y z"], reach_vox: float) -> "SurfaceOffsets":
        padded = np.pad(distance_vox, 1, constant_values=np.inf)
        strides = (padded.shape[1] * padded.shape[2], padded.shape[2], 1)
        field = padded.ravel()
        inner = np.flatnonzero(distance_vox.ravel() < reach_vox)
        at = _padded_index(inner, distance_vox.shape)
        here = field[at]
        slopes = [_slope(here, field[at + stride], field[at - stride]) for stride in strides]
        gradient = np.stack(slopes, axis=1)
        length = np.maximum(np.linalg.norm(gradient, axis=1), _FLATTEST)
        row_at = np.full(distance_vox.size, -1, np.int32)
        row_at[inner] = np.arange(len(inner), dtype=np.int32)
        offset = (-(here / length)[:, None] * gradient).astype(np.float32)
        return cls(row_at.reshape(distance_vox.shape), here, offset, reach_vox)

    def at(
        self, index: Float64[np.ndarray, "m 3"]
    ) -> tuple[Bool[np.ndarray, " m"], Float32[np.ndarray, " m"], Float32[np.ndarray, "m 3"]]:
        """At continuous grid indices: whether the surface is within reach, how far it is, and the way to it.

        The distance is that of the way, but no less than the field allows: halfway between two surfaces their ways cancel.
        """
        num = len(index)
        low = np.floor(index).astype(np.int64)
        fraction = (index - low).astype(np.float32)
        total, way, least = np.zeros(num, np.float32), np.zeros((num, 3), np.float32), np.zeros(num, np.float32)
        flat_rows = self.row_at.ravel()
        for corner in np.ndindex(2, 2, 2):
            at = low + np.array(corner)
            is_inside = _is_inside(at, self.row_at.shape)
            row = np.where(is_inside, flat_rows[_flat(np.where(is_inside[:, None], at, 0), self.row_at.shape)], -1)
            there = np.flatnonzero(row >= 0)
            row = row[there]
            apart = np.array(corner, np.float32) - fraction[there]
            share = (1 - np.abs(apart)).prod(axis=1)
            total[there] += share
            way[there] += share[:, None] * (apart + self.offset_vox[row])
            bound = self.distance_vox[row] - np.linalg.norm(apart, axis=1)
            least[there] = np.maximum(least[there], bound)
        is_near = total > 0.5
        way = np.where(is_near[:, None], way / np.maximum(total, 1e-6)[:, None], 0.0).astype(np.float32)
        length = np.linalg.norm(way, axis=1)
        distance = np.maximum(length, least)
        is_near &= distance < self.reach_vox
        return is_near, distance.astype(np.float32), way


def nearest_value(volume: np.ndarray, index: Float64[np.ndarray, "m 3"], outside: int | float = 0) -> np.ndarray:
    """Value of the grid point nearest to each continuous index; `outside` beyond the grid."""
    at = np.floor(index + 0.5).astype(np.int64)
    is_inside = _is_inside(at, volume.shape)
    found = volume.ravel()[_flat(np.where(is_inside[:, None], at, 0), volume.shape)]
    return np.where(is_inside, found, outside).astype(volume.dtype)


def _slope(here: np.ndarray, after: np.ndarray, before: np.ndarray) -> Float[np.ndarray, " n"]:
    """Slope of the distance on the voxel's own side of the surface.

    Within a voxel of the surface one neighbour may be on the other side: the greater one never is. Farther away the truncated
    end of the field may be near: the smaller neighbour never has it.
    """
    rise, fall = after - here, before - here
    can_rise, can_fall = np.abs(rise) <= _STEEPEST, np.abs(fall) <= _STEEPEST
    greater = (rise >= fall) | ~can_fall
    takes_after = np.where(here < 1, greater, ~greater)
    takes_after = np.where(can_rise & can_fall, takes_after, can_rise)
    slope = np.where(takes_after, rise, -fall)
    return np.where(can_rise | can_fall, slope, 0.0).astype(np.float32)


def _padded_index(flat: Int64[np.ndarray, " n"], shape: tuple[int, ...]) -> Int64[np.ndarray, " n"]:
    i, j, k = np.unravel_index(flat, shape)
    return ((i + 1) * (shape[1] + 2) + j + 1) * (shape[2] + 2) + k + 1


def _is_inside(at: Int64[np.ndarray, "n 3"], shape: tuple[int, ...]) -> Bool[np.ndarray, " n"]:
    inside: np.ndarray = np.logical_and(at >= 0, at < np.array(shape))
    return np.logical_and.reduce(inside, axis=1)


def _flat(at: Int64[np.ndarray, "n 3"], shape: tuple[int, ...]) -> Int64[np.ndarray, " n"]:
    return (at[:, 0] * shape[1] + at[:, 1]) * shape[2] + at[:, 2]
