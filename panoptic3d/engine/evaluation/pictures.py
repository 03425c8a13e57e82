"""Pictures of labelled voxels: from the camera and from above."""

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.scene import SURFACE_ISO_VOX
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy
from panoptic3d.viewer.palette import class_colors, instance_colors

_BACKGROUND = 32
_WIDTH = 160
_INSTANCE_SHARE = 0.35  # of a thing's colour that tells it from its neighbour of the same class


def front_view(
    voxels: LabelledVoxels, grid: VoxelGrid, camera: Camera, taxonomy: Taxonomy = FRONT3D_TAXONOMY
) -> UInt8[np.ndarray, "h w 3"]:
    """What the camera would see of the surface voxels."""
    shown, coords = _surface(voxels)
    view = camera.resized(_WIDTH, round(camera.height * _WIDTH / camera.width))
    x, y, z = grid.camera_from_index(torch.from_numpy(coords.astype(np.float32))).numpy().T
    is_ahead = z > grid.voxel_size_m
    x, y, z = x[is_ahead], y[is_ahead], z[is_ahead]
    center = np.stack((view.fx_px * x / z + view.cx_px, view.fy_px * y / z + view.cy_px), axis=1)
    radius = np.minimum(view.fx_px * grid.voxel_size_m / z / 2, 4)
    return _splat(center, z, radius, _colors(shown, taxonomy)[is_ahead], (view.height, view.width))


def top_view(voxels: LabelledVoxels, taxonomy: Taxonomy = FRONT3D_TAXONOMY) -> UInt8[np.ndarray, "h w 3"]:
    """From above, the camera at the lower border."""
    shown, coords = _surface(voxels)
    scale = _WIDTH / voxels.shape[0]
    height = round(voxels.shape[2] * scale)
    center = np.stack((coords[:, 0] * scale, height - 1 - coords[:, 2] * scale), axis=1)
    return _splat(
        center, coords[:, 1].astype(np.float64), np.full(len(coords), 0.5), _colors(shown, taxonomy), (height, _WIDTH)
    )


def _surface(voxels: LabelledVoxels) -> tuple[LabelledVoxels, Int[np.ndarray, "n 3"]]:
    shown = voxels.where((voxels.distance_vox < SURFACE_ISO_VOX) & (voxels.semantic > 0))
    return shown, np.stack(np.unravel_index(shown.linear_index, shown.shape), axis=1)


def _colors(voxels: LabelledVoxels, taxonomy: Taxonomy) -> UInt8[np.ndarray, "n 3"]:
    of_class = class_colors(torch.from_numpy(voxels.semantic), taxonomy).numpy()
    of_instance = instance_colors(torch.from_numpy(voxels.instance)).numpy()
    share = np.where(voxels.instance > 0, _INSTANCE_SHARE, 0.0)[:, None]
    return ((1 - share) * of_class + share * of_instance).round().astype(np.uint8)


def _splat(
    center_px: Float[np.ndarray, "n 2"],
    depth: Float[np.ndarray, " n"],
    radius_px: Float[np.ndarray, " n"],
    color: UInt8[np.ndarray, "n 3"],
    size: tuple[int, int],
) -> UInt8[np.ndarray, "h w 3"]:
    """Little squares, the nearest on top."""
    height, width = size
    reach = int(np.ceil(radius_px.max(initial=0)))
    pixels, depths, owners = [], [], []
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            column, row = (np.rint(center_px[:, axis]).astype(np.int64) + d for axis, d in ((0, dx), (1, dy)))
            is_seen = (max(abs(dx), abs(dy)) <= radius_px + 0.5) & (column >= 0) & (column < width)
            is_seen &= (row >= 0) & (row < height)
            pixels.append((row * width + column)[is_seen])
            depths.append(depth[is_seen])
            owners.append(np.flatnonzero(is_seen))
    picture = np.full((height * width, 3), _BACKGROUND, dtype=np.uint8)
    order = np.argsort(-np.concatenate(depths), kind="stable")  # far ones first: of several writes the last one stays
    picture[np.concatenate(pixels)[order]] = color[np.concatenate(owners)[order]]
    return picture.reshape(height, width, 3)
