"""The part of the grid in which a protocol compares segments."""

import numpy as np
from jaxtyping import Bool

from panoptic3d.metrics.bit_volume import BitVolume, pack_volume
from panoptic3d.metrics.protocol import BackProjection, MaskRule
from panoptic3d.structures.grid import FRONT3D_GRID


class Frustum:
    """A camera-aligned frustum mask and, once asked for, the evaluation masks made of it. Share one over many images."""

    def __init__(self, mask: Bool[np.ndarray, "x y z"]) -> None:
        self.mask = mask
        self._packed: dict[MaskRule, BitVolume] = {}

    def packed(self, rule: MaskRule) -> BitVolume:
        if rule not in self._packed:
            self._packed[rule] = pack_volume(evaluation_mask(self.mask, rule))
        return self._packed[rule]


def evaluation_mask(frustum: Bool[np.ndarray, "x y z"], rule: MaskRule) -> Bool[np.ndarray, "x y z"]:
    """The mask on camera-aligned volumes."""
    mask = frustum if rule.orientation == "camera_aligned" else frustum[::-1, ::-1]
    if rule.back_projection is None:
        return mask
    return mask & _seen_by(rule.back_projection, (mask.shape[0], mask.shape[1], mask.shape[2]))


def _seen_by(camera: BackProjection, shape: tuple[int, int, int]) -> Bool[np.ndarray, "x y z"]:
    voxel_size_m = FRONT3D_GRID.voxel_size_m
    x, y, z = (
        (np.arange(size, dtype=np.float64) - origin) * voxel_size_m
        for size, origin in zip(shape, camera.camera_index, strict=True)
    )
    nearest, farthest = camera.depth_m
    in_depth = (z >= nearest) & (z <= farthest)
    inverse_depth = camera.focal_px / np.where(in_depth, z, 1.0)
    u = x[:, None] * inverse_depth + camera.center_px[0]
    v = y[:, None] * inverse_depth + camera.center_px[1]
    in_width, in_height = (u >= 0) & (u < camera.size_px[0]), (v >= 0) & (v < camera.size_px[1])
    return in_width[:, None] & in_height[None] & in_depth
