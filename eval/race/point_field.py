"""The distance field of points in a grid, near them alone."""

import numpy as np
from scipy.spatial import KDTree

from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX

_REACH = int(DISTANCE_TRUNCATION_VOX)
_STEPS = np.arange(-_REACH, _REACH + 1)


def distance_to_points(points: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Linear indices, ascending, of the voxels nearer than the truncation to a point; their distances; and which point it is.

    Points are rows of indices in the grid, not whole ones as a rule.
    """
    cells = np.unique(np.ravel_multi_index(tuple(np.floor(points + 0.5).astype(np.int64).T), shape))
    for axis in range(3):  # a box around each cell, one axis after the other
        coords = np.stack(np.unravel_index(cells, shape), axis=1)
        spread = np.repeat(coords[None], len(_STEPS), axis=0)
        spread[..., axis] += _STEPS[:, None]
        is_inside = (spread[..., axis] >= 0) & (spread[..., axis] < shape[axis])
        cells = np.unique(np.ravel_multi_index(tuple(spread[is_inside].T), shape))
    coords = np.stack(np.unravel_index(cells, shape), axis=1)
    if not len(points):
        return cells, np.zeros(0), cells
    found = KDTree(points).query(coords, distance_upper_bound=DISTANCE_TRUNCATION_VOX)
    distance, place = (np.asarray(column) for column in found)
    is_near = np.isfinite(distance)
    return cells[is_near], distance[is_near], place[is_near]
