"""Distances as small codes that never cross a threshold.

Below 3 voxels a code is a bin of 1/34 voxel and decodes to its middle: the error is at most 1/68, and since 1.0, 1.5, 2.0
and 3.0 are multiples of 1/34, a value and its decoded value lie on the same side of each. Values that *equal* 0, a threshold
or the far value have codes of their own. From 3 to 12 voxels a bin is 1/16 voxel, which fills 252 of 256 codes. A signed
field (scans, rough and ten times as large) has bins of 1/4 voxel there, and writes a negative distance as the complement of
its magnitude's code, in 16 bits.
"""

import numpy as np

from panoptic3d.structures.sample import FAR_VOX

THRESHOLDS_VOX = (1.0, 1.5, 2.0, 3.0)
NEAR_VOX = 3.0
NEAR_BINS_PER_VOX = 34
FAR_BINS_PER_VOX = {False: 16, True: 4}  # of a field without and with signs
TOLERANCE_NEAR_VOX = 0.5 / NEAR_BINS_PER_VOX

_NUM_NEAR = int(NEAR_VOX * NEAR_BINS_PER_VOX)
_EXACT_VOX = (0.0, *THRESHOLDS_VOX, FAR_VOX)
_NUM_CODES = 256


def tolerance_far_vox(is_signed: bool) -> float:
    """The largest error of a distance of at least `NEAR_VOX`."""
    return 0.5 / FAR_BINS_PER_VOX[is_signed]


def _num_far(is_signed: bool) -> int:
    return int((FAR_VOX - NEAR_VOX) * FAR_BINS_PER_VOX[is_signed])


def _decode_table(is_signed: bool) -> np.ndarray:
    near = (np.arange(_NUM_NEAR) + 0.5) / NEAR_BINS_PER_VOX
    far = NEAR_VOX + (np.arange(_num_far(is_signed)) + 0.5) / FAR_BINS_PER_VOX[is_signed]
    used = np.concatenate([near, far, _EXACT_VOX])
    return np.concatenate([used, np.zeros(_NUM_CODES - len(used))]).astype(np.float32)


_TABLE, _MAGNITUDES = _decode_table(is_signed=False), _decode_table(is_signed=True)
_SIGNED_TABLE = np.concatenate([-_MAGNITUDES[::-1], _MAGNITUDES])  # of code + 256


def encode_distances(distance_vox: np.ndarray, is_signed: bool) -> np.ndarray:
    """uint8 codes, or int16 ones for a signed field, of float32 distances in [-12, 12]."""
    magnitude = np.abs(distance_vox.astype(np.float64))  # exact: floor(34 d) needs 30 bits
    num_far = _num_far(is_signed)
    far = np.floor((magnitude - NEAR_VOX) * FAR_BINS_PER_VOX[is_signed])
    near = np.floor(magnitude * NEAR_BINS_PER_VOX)
    codes = np.where(magnitude < NEAR_VOX, near, np.minimum(far, num_far - 1) + _NUM_NEAR).astype(np.int16)
    for offset, exact_vox in enumerate(_EXACT_VOX):
        codes[magnitude == exact_vox] = _NUM_NEAR + num_far + offset
    if is_signed:
        return np.where(distance_vox < 0, -1 - codes, codes)
    return codes.astype(np.uint8)


def decode_distances(codes: np.ndarray) -> np.ndarray:
    """float32 distances."""
    return _TABLE[codes] if codes.dtype == np.uint8 else _SIGNED_TABLE[codes + np.int16(_NUM_CODES)]
