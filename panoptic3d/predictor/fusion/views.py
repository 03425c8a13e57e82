"""Votes of each view for the voxels of the fused grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt8

from panoptic3d.geometry.surface_offsets import SurfaceOffsets, nearest_value
from panoptic3d.geometry.turned_lattice import touched_cells
from panoptic3d.predictor.fusion.config import FusionConfig
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.ray_confidence import ray_confidence
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_cut import labels_near


@dataclass(frozen=True, eq=False)
class PosedScene:
    """The scene of one photo, and where its camera stood in the frame of the fused scene."""

    scene: PanopticScene
    scene_from_camera: Float64[np.ndarray, "4 4"]

    def points_m(self, index: Float64[np.ndarray, "n 3"], grid: VoxelGrid) -> Float64[np.ndarray, "n 3"]:
        """Indices of the fused grid as points in the frame of the photo's camera."""
        rotation, centre = self.scene_from_camera[:3, :3], self.scene_from_camera[:3, 3]
        scale = grid.voxel_size_m
        return index @ (scale * rotation) - (np.array(grid.camera_index) * scale + centre) @ rotation

    def index_of_own(self, own_index: Float64[np.ndarray, "n 3"], grid: VoxelGrid) -> Float64[np.ndarray, "n 3"]:
        """Indices of the photo's grid as indices of the fused grid."""
        own = self.scene.grid
        points = (own_index - np.array(own.camera_index)) * own.voxel_size_m
        there = points @ self.scene_from_camera[:3, :3].T + self.scene_from_camera[:3, 3]
        return there / grid.voxel_size_m + np.array(grid.camera_index)


@dataclass(frozen=True, eq=False)
class ViewVotes:
    """Votes of one view for the candidate voxels in its frustum."""

    rows: Int64[np.ndarray, " m"]
    weight: Float32[np.ndarray, " m"]
    is_near: Bool[np.ndarray, " m"]  # the view has a surface within reach
    occupied: Float32[np.ndarray, " m"]
    offset_vox: Float32[np.ndarray, "m 3"]  # to the view's surface, in the fused grid
    semantic: UInt8[np.ndarray, " m"]
    instance: Int32[np.ndarray, " m"]


def votes_of(
    view: PosedScene, candidates: Int64[np.ndarray, "n 3"], grid: VoxelGrid, config: FusionConfig
) -> ViewVotes:
    scene = view.scene
    points = view.points_m(candidates.astype(np.float64), grid)
    rows = np.flatnonzero(in_frustum(points, scene.camera, config))
    points = points[rows]
    own_index = points / scene.grid.voxel_size_m + np.array(scene.grid.camera_index)
    inside = ((own_index > -0.5) & (own_index < np.array(scene.grid.shape) - 0.5)).all(axis=1)
    rows, points, own_index = rows[inside], points[inside], own_index[inside]
    field = scene.distance_vox.float().cpu().numpy()
    is_near, distance, way = SurfaceOffsets.of(field, DISTANCE_TRUNCATION_VOX).at(own_index)
    size_ratio = scene.grid.voxel_size_m / grid.voxel_size_m
    distance = distance * size_ratio
    surface = np.where(is_near[:, None], own_index + way, own_index)
    semantic, instance = labels_near(scene, own_index, surface)
    occupied = np.where(is_near, 1 / (1 + np.exp((distance - 1) / config.softness_vox)), 0.0)
    offset = (way @ view.scene_from_camera[:3, :3].T * size_ratio).astype(np.float32)
    length = np.linalg.norm(offset, axis=1)
    grown = np.where(
        length > 1e-6, np.maximum(distance / np.maximum(length, 1e-6), 1.0), 1.0
    )  # never nearer than it says
    return ViewVotes(
        rows,
        _weight(scene, points, own_index, is_near, config),
        is_near,
        occupied.astype(np.float32),
        (offset * grown[:, None]).astype(np.float32),
        np.where(is_near, semantic, 0).astype(np.uint8),
        np.where(is_near, instance, 0).astype(np.int32),
    )


def candidates_of(views: Sequence[PosedScene], grid: VoxelGrid, reach_vox: float) -> Int64[np.ndarray, "n 3"]:
    """Voxels of the fused grid, which is taken without its bounds, that are near to the surface of any view."""
    places = []
    for view in views:
        near = np.argwhere(view.scene.distance_vox.cpu().numpy() < reach_vox)
        places.append(touched_cells(near, partial(view.index_of_own, grid=grid)))
    return _unique(np.concatenate([np.zeros((0, 3), np.int64), *places]))


def in_frustum(points_m: Float64[np.ndarray, "n 3"], camera: Camera, config: FusionConfig) -> Bool[np.ndarray, " n"]:
    depth = np.maximum(points_m[:, 2], 1e-6)
    u = points_m[:, 0] / depth * camera.fx_px + camera.cx_px
    v = points_m[:, 1] / depth * camera.fy_px + camera.cy_px
    is_inside = (u >= -0.5) & (u <= camera.width - 0.5) & (v >= -0.5) & (v <= camera.height - 0.5)
    return is_inside & (points_m[:, 2] >= config.near_m) & (points_m[:, 2] <= config.far_m)


def ray_weight(
    scene: PanopticScene, points_m: Float64[np.ndarray, "n 3"], config: FusionConfig
) -> Float32[np.ndarray, " n"]:
    """How far a view is to be believed at points of its frustum, up to 1: sure rays more, what lies behind its own surface
    less. A ray is as sure as its spread is small; one as sure as a measured depth has 1. A scene without a depth map, such as
    ground truth, is believed everywhere.
    """
    if scene.depth_map is None:
        return np.ones(len(points_m), np.float32)
    points = torch.from_numpy(points_m)
    return ray_confidence(scene.depth_map, scene.camera, points, config.behind, config.behind_margin_m).cpu().numpy()


def _weight(
    scene: PanopticScene,
    points_m: np.ndarray,
    own_index: np.ndarray,
    is_near: np.ndarray,
    config: FusionConfig,
) -> Float32[np.ndarray, " n"]:
    """The confidence of the scene around its surfaces; of free space, of which it does not tell, that of the rays."""
    weight = ray_weight(scene, points_m, config)
    if scene.confidence is None:
        return weight
    weight = np.where(is_near, weight, config.free_weight * weight)
    sure = nearest_value(scene.confidence.float().cpu().numpy(), own_index)
    return np.where(is_near & (sure > 0), sure, weight).astype(np.float32)


def _unique(places: Int64[np.ndarray, "n 3"]) -> Int64[np.ndarray, "m 3"]:
    """In C order."""
    if not len(places):
        return places
    low = places.min(axis=0)
    shape = tuple((places.max(axis=0) - low + 1).tolist())
    flat = np.unique(np.ravel_multi_index(tuple((places - low).T), shape))
    return np.stack(np.unravel_index(flat, shape), axis=1).astype(np.int64) + low
