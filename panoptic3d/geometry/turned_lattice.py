"""Which points of one grid lie in the cells of another, rotated one."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64, Int64

Move = Callable[[Float64[np.ndarray, "_ 3"]], Float64[np.ndarray, "_ 3"]]


def touched_cells(index: Int64[np.ndarray, "n 3"], moved: Move) -> Int64[np.ndarray, "m 3"]:
    """Points of the other grid that lie in the cells around these points of one, in C order. `moved` leads there.

    Rounding the moved points alone would miss up to a sixth of them where the grids are turned by 45 degrees: some cells get
    two points and some none. So a cell is moved in parts, each less than half a voxel from middle to corner.
    """
    if not len(index):
        return index
    ends = moved(np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    size = float(np.linalg.norm(ends[1] - ends[0]))  # of a cell, in voxels of the other grid
    num_parts = int(math.sqrt(3.0) * size) + 1
    middles = (np.arange(num_parts) + 0.5) / num_parts - 0.5
    points = index.astype(np.float64)
    there = moved(points)
    low = np.floor(there.min(axis=0)).astype(np.int64) - math.ceil(size) - 1
    shape = np.floor(there.max(axis=0)).astype(np.int64) + math.ceil(size) + 2 - low
    is_touched = np.zeros(shape.tolist(), np.bool_)
    for part in np.stack(np.meshgrid(middles, middles, middles), axis=-1).reshape(-1, 3):
        at = np.floor(moved(points + part) + 0.5).astype(np.int64) - low
        is_touched[tuple(at.T)] = True
    return np.argwhere(is_touched) + low
