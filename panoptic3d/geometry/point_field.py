"""The distance field of points in a grid, near them alone."""

import numpy as np
from jaxtyping import Float, Int64
from scipy.spatial import KDTree


def distance_to_points(
    points: Float[np.ndarray, "n 3"], shape: tuple[int, int, int], reach_vox: float
) -> tuple[Int64[np.ndarray, " m"], Float[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
    """Linear indices, ascending, of the voxels nearer than the reach to a point; their distances; and which point it is.

    Points are rows of indices in the grid, not whole ones as a rule.
    """
    reach = int(reach_vox)
    steps = np.arange(-reach, reach + 1)
    cells = np.unique(np.ravel_multi_index(tuple(np.floor(points + 0.5).astype(np.int64).T), shape))
    for axis in range(3):  # a box around each cell, one axis after the other
        coords = np.stack(np.unravel_index(cells, shape), axis=1)
        spread = np.repeat(coords[None], len(steps), axis=0)
        spread[..., axis] += steps[:, None]
        is_inside = (spread[..., axis] >= 0) & (spread[..., axis] < shape[axis])
        cells = np.unique(np.ravel_multi_index(tuple(spread[is_inside].T), shape))
    coords = np.stack(np.unravel_index(cells, shape), axis=1)
    if not len(points):
        return cells, np.zeros(0), cells
    found = KDTree(points).query(coords, distance_upper_bound=reach_vox)
    distance, place = (np.asarray(column) for column in found)
    is_near = np.isfinite(distance)
    return cells[is_near], distance[is_near], place[is_near]
