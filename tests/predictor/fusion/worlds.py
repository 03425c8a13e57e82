"""Worlds of boxes with exact distances, and what cameras that stand in them would predict if they were perfect."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from panoptic3d.geometry.frustum import frustum_mask
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import CHAIR, FLOOR

CAMERA = Camera.from_fov(70.0, width=64, height=48)
GRID = VoxelGrid((84, 64, 72), 0.06, (41.3, 31.6, 2.2))
FLOOR_Y = 1.0  # the world has y down


@dataclass(frozen=True)
class Box:
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    class_id: int = CHAIR

    def distance_m(self, points: np.ndarray) -> np.ndarray:
        """To the surface, from inside as from outside."""
        low, high = np.array(self.low), np.array(self.high)
        outside = np.maximum(np.maximum(low - points, points - high), 0)
        inside = np.minimum(points - low, high - points).min(axis=-1)
        return np.where(inside > 0, inside, np.linalg.norm(outside, axis=-1))


def perfect_scene(boxes: Sequence[Box], world_from_camera: Tensor, grid: VoxelGrid = GRID) -> PanopticScene:
    """Things are numbered from 1 in the order of the boxes; the floor is stuff."""
    seen = frustum_mask(CAMERA.intrinsics, (64, 48), grid.shape, grid.voxel_size_m, grid.camera_index)
    pose = world_from_camera.numpy()
    world = grid.camera_from_index(seen.nonzero().double()).numpy() @ pose[:3, :3].T + pose[:3, 3]
    best, owner = np.abs(world[:, 1] - FLOOR_Y), np.zeros(len(world), np.int64)
    reach_m = 4 * grid.voxel_size_m
    for number, box in enumerate(boxes, start=1):
        near = np.flatnonzero(
            ((world > np.array(box.low) - reach_m) & (world < np.array(box.high) + reach_m)).all(axis=1)
        )
        distance = box.distance_m(world[near])
        owner[near] = np.where(distance < best[near], number, owner[near])
        best[near] = np.minimum(best[near], distance)
    best = np.minimum(best / grid.voxel_size_m, 3.0)
    is_labelled = best < 1
    classes = np.array([FLOOR, *(box.class_id for box in boxes)])

    def volume(values: np.ndarray, fill: float | int) -> Tensor:
        dense = np.full(grid.shape, fill, values.dtype)
        dense[seen.numpy()] = values
        return torch.from_numpy(dense)

    return PanopticScene(
        volume(best.astype(np.float32), 3.0),
        volume(np.where(is_labelled, classes[owner], 0).astype(np.uint8), 0),
        volume(np.where(is_labelled, owner, 0).astype(np.int32), 0),
        CAMERA,
        grid,
    )


def looking_at(target: Sequence[float], place: Sequence[float], roll: float = 0.0) -> Tensor:
    """`world_from_camera` of a camera with the world's y (down) downwards."""
    forward = np.array(target, float) - np.array(place, float)
    forward /= np.linalg.norm(forward)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    pose = np.eye(4)
    turned = np.stack((right * np.cos(roll) + down * np.sin(roll), down * np.cos(roll) - right * np.sin(roll)), axis=1)
    pose[:3, :3], pose[:3, 3] = np.concatenate((turned, forward[:, None]), axis=1), place
    return torch.from_numpy(pose)


def around(num: int, radius_m: float = 2.2, height_m: float = 1.3) -> list[Tensor]:
    """Cameras in a circle that look at the middle of the floor."""
    angles = np.arange(num) * 2 * np.pi / num + 0.3
    places = [(radius_m * np.sin(a), FLOOR_Y - height_m, -radius_m * np.cos(a)) for a in angles]
    return [looking_at((0, FLOOR_Y - 0.2, 0), place, roll=0.05 * n) for n, place in enumerate(places)]


def renamed(scene: PanopticScene, seed: int) -> PanopticScene:
    """Its things by other numbers."""
    found = scene.instance.unique()
    found = found[found > 0].long()
    names = torch.zeros(int(scene.instance.max()) + 1, dtype=torch.int32)
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))
    names[found] = (order + 1).int()
    return replace(scene, instance=names[scene.instance.long()])
