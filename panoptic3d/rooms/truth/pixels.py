"""Ground truth of a view: depth and labels of every pixel, distances and labels of every voxel."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int32, UInt8

from panoptic3d.geometry.pinhole import project
from panoptic3d.geometry.weighting import loss_weight
from panoptic3d.rooms.meshes.soup import TriangleSoup
from panoptic3d.rooms.render.raycast import Caster, Hits, pixel_rays
from panoptic3d.rooms.scene import View
from panoptic3d.rooms.truth.field import FrustumSlots, frustum_slots, nearest_surface
from panoptic3d.rooms.truth.polygons import paired
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import FAR_VOX, LABEL_BAND_VOX


@dataclass(frozen=True, eq=False)
class PixelTruth:
    """At exact pixel centres. A pixel that looks out of the room has depth 0 and no labels."""

    hits: Hits
    depth_m: Float32[np.ndarray, "h w"]  # along the optical axis
    semantic: UInt8[np.ndarray, "h w"]
    instance: Int32[np.ndarray, "h w"]


def pixel_truth(soup: TriangleSoup, caster: Caster, view: View) -> PixelTruth:
    size = (view.camera.height, view.camera.width)
    hits = caster.cast(*pixel_rays(view))
    part = soup.part_of[hits.triangle]
    return PixelTruth(
        hits,
        np.where(hits.is_hit, hits.distance, 0).astype(np.float32).reshape(size),
        np.where(hits.is_hit, soup.class_of_part[part], 0).astype(np.uint8).reshape(size),
        np.where(hits.is_hit, soup.instance_of_part[part], 0).astype(np.int32).reshape(size),
    )


@dataclass(frozen=True, eq=False)
class FrustumTruth:
    """By the release's rules (unsigned distances up to 8 voxels, labels below 1), for each voxel of the frustum."""

    slots: FrustumSlots
    distance_vox: Float32[np.ndarray, " n"]  # 12 where farther than 8
    semantic: UInt8[np.ndarray, " n"]
    instance: Int32[np.ndarray, " n"]  # 0 for stuff
    weight: UInt8[np.ndarray, " n"]


def frustum_truth(soup: TriangleSoup, view: View, grid: VoxelGrid, pixels: PixelTruth) -> FrustumTruth:
    slots = frustum_slots(view.camera, grid)
    corners, number = paired_corners(soup)
    nearest = nearest_surface(_in_grid(corners, view, grid), number, soup.is_thing, slots)
    distance = np.where(nearest.triangle >= 0, nearest.distance_vox, np.float32(FAR_VOX))
    labelled = np.flatnonzero(distance < LABEL_BAND_VOX)
    part = soup.part_of[nearest.triangle[labelled]]
    semantic = np.zeros(len(slots), np.uint8)
    semantic[labelled] = soup.class_of_part[part]
    instance = np.zeros(len(slots), np.int32)
    instance[labelled] = np.where(soup.is_thing_part[part], soup.instance_of_part[part], 0)
    hidden = torch.from_numpy(_is_occluded(view.camera, grid, pixels.depth_m))
    weight = loss_weight(torch.from_numpy(distance), hidden, torch.ones_like(hidden)).numpy()
    return FrustumTruth(slots, distance, semantic, instance, weight)


@lru_cache(maxsize=2)
def paired_corners(soup: TriangleSoup) -> tuple[Float64[np.ndarray, "q 4 3"], Int32[np.ndarray, " q"]]:
    """All triangles as polygons of four corners; the same for each view of a room."""
    return paired(soup.corners_m.astype(np.float64), soup.part_of)


def _in_grid(corners: Float64[np.ndarray, "q 4 3"], view: View, grid: VoxelGrid) -> Float64[np.ndarray, "q 4 3"]:
    matrix = grid.index_from_camera_matrix.numpy() @ np.linalg.inv(view.world_from_camera)
    return corners @ matrix[:3, :3].T + matrix[:3, 3]


def _is_occluded(camera: Camera, grid: VoxelGrid, depth_m: np.ndarray) -> Bool[np.ndarray, " n"]:
    """`geometry.visibility.is_occluded` of a frustum's voxels; where they fall in the image is worked out once a camera."""
    pixel, z_m = _voxel_pixels(camera, grid)
    surface_m = depth_m.reshape(-1).take(pixel)
    return (surface_m > 0) & (z_m > surface_m)


@lru_cache(maxsize=2)
def _voxel_pixels(camera: Camera, grid: VoxelGrid) -> tuple[Int32[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    slots = frustum_slots(camera, grid)
    points = grid.camera_from_index(torch.from_numpy(slots.coords).float())
    pixels, z_m = project(points, camera.intrinsics.float())
    column, row = (pixels + 0.5).floor().int().numpy().T
    inside = np.clip(row, 0, camera.height - 1) * camera.width + np.clip(column, 0, camera.width - 1)
    return inside.astype(np.int32), z_m.numpy()
