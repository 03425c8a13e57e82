"""Occupied cells of the coarser levels, as the reference defines them: the field resampled, then compared.

The field, clipped at 12 voxels, is resampled trilinearly to half and a quarter of the size with the corners aligned, and a
cell is occupied where the result (still in voxels of the fine grid) is below 6 or 8: reference/panorecon, section 2.2.
Only the box around the listed voxels is touched: everything else resamples to 12.
"""

import numpy as np

from panoptic3d.data.volumes import Shape, Sparse
from panoptic3d.structures.sample import FAR_VOX

OCCUPANCY_BELOW_VOX = {2: 6.0, 4: 8.0}  # stride of the level -> threshold


def coarse_occupancy(distance: Sparse, shape: Shape) -> dict[int, np.ndarray]:
    """stride -> bool cells, from all distances that are not the far value."""
    block, start = _near_block(distance, shape)
    return {
        stride: _is_below(block, start, shape, (shape[0] // stride, shape[1] // stride, shape[2] // stride), below_vox)
        for stride, below_vox in OCCUPANCY_BELOW_VOX.items()
    }


def resample_positions(size: int, coarse_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Lower neighbour and the upper one's share for each coarse cell, corners aligned, in float32 as torch computes it."""
    scale = np.float32(size - 1) / np.float32(coarse_size - 1) if coarse_size > 1 else np.float32(0)
    position = np.arange(coarse_size, dtype=np.float32) * scale
    lower = np.minimum(position.astype(np.int64), size - 1)
    return lower, position - lower.astype(np.float32)


def _near_block(distance: Sparse, shape: Shape) -> tuple[np.ndarray, Shape]:
    """float32 |distance| of the box around all near voxels with one layer of far voxels around it, and where it starts."""
    magnitude = np.abs(distance.values)
    is_near = magnitude < max(OCCUPANCY_BELOW_VOX.values())
    if not is_near.any():
        return np.full((1, 1, 1), FAR_VOX, np.float32), (0, 0, 0)
    coords = _coords(distance.index, shape)
    low = [int(axis[is_near].min()) - 1 for axis in coords]
    size = [int(axis[is_near].max()) + 2 - start for axis, start in zip(coords, low, strict=True)]
    block = np.full(tuple(size), FAR_VOX, np.float32)
    local = [axis - start for axis, start in zip(coords, low, strict=True)]
    is_inside = np.ones(len(magnitude), np.bool_)
    for axis, length in zip(local, size, strict=True):
        is_inside &= (axis >= 0) & (axis < length)
    block[tuple(axis[is_inside] for axis in local)] = magnitude[is_inside]
    return block, (low[0], low[1], low[2])


def _coords(index: np.ndarray, shape: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    i, rest = np.divmod(index, np.int32(shape[1] * shape[2]))
    j, k = np.divmod(rest, np.int32(shape[2]))
    return i, j, k


def _is_below(block: np.ndarray, start: Shape, shape: Shape, coarse: Shape, below_vox: float) -> np.ndarray:
    occupied = np.zeros(coarse, np.bool_)
    ranges = []
    for axis in range(3):
        lower, share = resample_positions(shape[axis], coarse[axis])
        end = start[axis] + block.shape[axis]
        cells = np.flatnonzero((np.minimum(lower + 1, shape[axis] - 1) >= start[axis]) & (lower < end))
        lowest = np.clip(lower[cells] - start[axis], 0, block.shape[axis] - 1)
        highest = np.clip(np.minimum(lower[cells] + 1, shape[axis] - 1) - start[axis], 0, block.shape[axis] - 1)
        share = share[cells].reshape([-1 if a == axis else 1 for a in range(3)])
        block = np.take(block, lowest, axis) * (1 - share) + np.take(block, highest, axis) * share
        ranges.append(cells)
    occupied[np.ix_(*ranges)] = block < np.float32(below_vox)
    return occupied
