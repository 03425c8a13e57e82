"""Cut a scene to another camera's grid: the part of a fused scene in the frustum of a photo."""

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int32, UInt8
from scipy.ndimage import maximum_filter
from torch import Tensor

from panoptic3d.geometry.frustum import frustum_mask
from panoptic3d.geometry.surface_offsets import SurfaceOffsets, nearest_value
from panoptic3d.geometry.turned_lattice import touched_cells
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import FRONT3D_GRID, VoxelGrid
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX
from panoptic3d.structures.scene import PanopticScene

_LABELLED_VOX = 1.5
_BLOCK = 8


def cut_scene(
    scene: PanopticScene,
    scene_from_camera: Float64[Tensor, "4 4"],
    camera: Camera,
    grid: VoxelGrid = FRONT3D_GRID,
    is_inside: Bool[Tensor, "x y z"] | None = None,
) -> PanopticScene:
    """The scene within the frustum of a camera that stands in it, camera aligned. Ids stay as they are.

    `is_inside` says which voxels of the grid the frustum has; by default those that project into the image, 0.4 to 6 m deep.
    """
    if is_inside is None:
        size = (camera.width, camera.height)
        is_inside = frustum_mask(camera.intrinsics, size, grid.shape, grid.voxel_size_m, grid.camera_index)
    pose = scene_from_camera.double().cpu().numpy()
    field = scene.distance_vox.float().cpu().numpy()
    there = _candidates(scene, pose, grid, is_inside.cpu().numpy())
    points = (there - np.array(grid.camera_index)) * grid.voxel_size_m
    points = points @ pose[:3, :3].T + pose[:3, 3]
    index = points / scene.grid.voxel_size_m + np.array(scene.grid.camera_index)
    is_near, distance, way = SurfaceOffsets.of(field, DISTANCE_TRUNCATION_VOX).at(index)
    there, distance, surface = there[is_near], distance[is_near], (index + way)[is_near]
    distance = distance * np.float32(scene.grid.voxel_size_m / grid.voxel_size_m)
    is_labelled = distance < _LABELLED_VOX
    labels = [np.where(is_labelled, label, 0) for label in labels_near(scene, index[is_near], surface)]
    columns = (distance.clip(0, DISTANCE_TRUNCATION_VOX), labels[0].astype(np.uint8), labels[1].astype(np.int32))
    volumes = [np.full(grid.shape, fill, c.dtype) for c, fill in zip(columns, (3.0, 0, 0), strict=True)]
    for volume, column in zip(volumes, columns, strict=True):
        volume[tuple(there.T)] = column
    distance_vox, semantic, instance = (torch.from_numpy(volume) for volume in volumes)
    scores, provenance = dict(scene.scores), dict(scene.provenance)
    return PanopticScene(
        distance_vox.float(), semantic, instance, camera, grid, scene.taxonomy, scores, provenance=provenance
    )


def labels_near(
    scene: PanopticScene, index: Float64[np.ndarray, "n 3"], surface: Float64[np.ndarray, "n 3"]
) -> tuple[UInt8[np.ndarray, " n"], Int32[np.ndarray, " n"]]:
    """Class and instance at continuous grid indices: of the nearest voxel, or of that at the surface where it has none."""
    volumes = [volume.cpu().numpy() for volume in (scene.semantic, scene.instance)]
    here, there = ([nearest_value(volume, place) for volume in volumes] for place in (index, surface))
    has_label = here[0] > 0
    semantic, instance = (np.where(has_label, own, other) for own, other in zip(here, there, strict=True))
    return semantic.astype(np.uint8), instance.astype(np.int32)


def _candidates(scene: PanopticScene, pose: np.ndarray, grid: VoxelGrid, is_inside: np.ndarray) -> np.ndarray:
    """Voxels of the new grid that are near to a surface of the scene."""
    near = np.argwhere(scene.distance_vox.cpu().numpy() < DISTANCE_TRUNCATION_VOX - 0.5)

    def moved(index: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
        points = (index - np.array(scene.grid.camera_index)) * scene.grid.voxel_size_m
        return (points - pose[:3, 3]) @ pose[:3, :3] / grid.voxel_size_m + np.array(grid.camera_index)

    near = near[_may_be_inside(moved(near.astype(np.float64)), is_inside)]  # most of a room is outside of a frustum
    at = touched_cells(near, moved)
    at = at[((at >= 0) & (at < np.array(grid.shape))).all(axis=1)]
    is_near = np.zeros(grid.shape, np.bool_)
    is_near[tuple(at.T)] = True
    return np.argwhere(is_near & is_inside)


def _may_be_inside(index: Float64[np.ndarray, "n 3"], is_inside: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, " n"]:
    """False only where nothing within `_BLOCK` voxels of a point is inside."""
    shape = np.array(is_inside.shape)
    padded = np.pad(is_inside, [(0, int(-size % _BLOCK)) for size in shape])
    x, y, z = (size // _BLOCK for size in padded.shape)
    blocks = np.pad(padded.reshape(x, _BLOCK, y, _BLOCK, z, _BLOCK).any(axis=(1, 3, 5)), 1)
    blocks = maximum_filter(blocks, 3, mode="constant")
    at = np.clip(np.floor(index / _BLOCK).astype(np.int64) + 1, 0, np.array(blocks.shape) - 1)
    return blocks[tuple(at.T)]
