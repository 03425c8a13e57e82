"""Nearest surface plane of each free grid point: the field gives its distance, and the field's slope its direction."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int32, Int64

from panoptic3d.export.free_space import FreeSpace, neighbour_steps
from panoptic3d.export.rows import directions, dots, lengths

_STEEPEST = 1.8  # a distance grows by at most 1 a voxel, and noise; steeper is the border of what is known
_LEAST_TRUST = 0.02
_ALONE = 0.15  # trust in a plane that fewer than two neighbours see too: it mixes two surfaces, or is on an edge
_SECOND_DIFFERENCE = 1.65  # median size of the second difference of noise with deviation 1
_EXACT_VOX = 0.01  # with less noise than this, distances are not smoothed
_REACH = 3.3  # times the noise: distances of the same plane agree within it
_TURN = (5.0, 0.15, 0.8)  # normals of the same plane agree within noise times the first, radians, between the others


@dataclass(frozen=True, eq=False)
class Planes:
    """The nearest surface plane of each free grid point. It lies at `distance` from the point, opposite to `normal`."""

    point: Int64[np.ndarray, " n"]  # flat address
    number: Int32[np.ndarray, " cells"]  # row of a flat address, or -1
    normal: Float[np.ndarray, "n 3"]  # away from the surface
    distance: Float[np.ndarray, " n"]
    trust: Float[np.ndarray, " n"]


def planes_at(space: FreeSpace, points: Int64[np.ndarray, " n"]) -> Planes:
    """Exact for exact distances to flat surfaces, beside edges too; with noise, the mean of agreeing neighbours."""
    after, before = _differences(space, points)
    slope = _slope_of_length_one(after, before)
    length = lengths(slope)
    number = np.full(space.field.size, -1, np.int32)
    number[points] = np.arange(len(points))
    planes = Planes(
        points,
        number,
        slope / np.maximum(length, 1e-6)[:, None],
        space.field[points].astype(np.float64),
        np.clip(1 - 2 * np.abs(1 - length), _LEAST_TRUST, 1),
    )
    noise = float(np.median(np.abs(after - before))) / _SECOND_DIFFERENCE
    return _agreed(space, planes, noise)


def _differences(space: FreeSpace, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One-sided differences along the three axes; where one side is unknown, the other side's stands for both."""
    here = space.field[points][:, None]
    after = space.field[points[:, None] + space.strides] - here
    before = here - space.field[points[:, None] - space.strides]
    is_odd_after, is_odd_before = np.abs(after) > _STEEPEST, np.abs(before) > _STEEPEST
    whole_after = np.where(is_odd_after, np.where(is_odd_before, 0, before), after)
    return whole_after, np.where(is_odd_before, np.where(is_odd_after, 0, after), before)


def _slope_of_length_one(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """One-sided differences give eight gradients; take that of length nearest to 1, because it sees one surface only."""
    squared = np.square(before).T, np.square(after).T
    best, chosen = np.full(len(after), np.inf), np.zeros(len(after), np.uint8)
    for corner in range(8):
        x, y, z = (squared[corner >> axis & 1][axis] for axis in range(3))
        error = np.abs(x + y + z - 1)
        is_better = error < best
        best[is_better], chosen[is_better] = error[is_better], corner
    return np.where((chosen[:, None] >> np.arange(3) & 1).astype(np.bool_), after, before)


def _agreed(space: FreeSpace, planes: Planes, noise: float) -> Planes:
    """Trust only what neighbours confirm, and where there is noise take the mean of those that agree."""
    factor, least, most = _TURN
    least_cosine = np.cos(np.clip(factor * noise, least, most))
    num_agreeing = np.zeros(len(planes.point))
    total = np.vstack((planes.normal.T, planes.distance, np.ones(len(planes.point)))) * planes.trust
    for step in neighbour_steps()[: len(neighbour_steps()) // 2]:  # the others lead back
        other = planes.number.take(planes.point + step @ space.strides)
        row = np.flatnonzero(other >= 0)
        other = other.take(row)
        is_alike = dots(planes.normal.take(row, axis=0), planes.normal.take(other, axis=0)) > least_cosine
        row, other = row[is_alike], other[is_alike]
        for here, there, way in ((row, other, step), (other, row, -step)):
            normal = planes.normal.take(there, axis=0)
            seen_from_here = planes.distance.take(there) - normal @ way
            is_same = np.abs(seen_from_here - planes.distance.take(here)) < max(_REACH * noise, 0.05)
            at, share = here[is_same], planes.trust.take(there[is_same])
            num_agreeing[at] += 1
            for k, told in enumerate((*normal[is_same].T, seen_from_here[is_same], 1.0)):
                total[k, at] += share * told
    trust = planes.trust * np.where(num_agreeing >= 2, 1, _ALONE)
    if noise < _EXACT_VOX:
        return replace(planes, trust=trust)
    return replace(planes, normal=directions(total[:3].T), distance=total[3] / total[4], trust=trust)
