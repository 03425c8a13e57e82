"""A wall, a floor and a box on a grid small enough for a test, with a photo."""

import numpy as np
import torch

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import FLOOR, SOFA, WALL

GRID = VoxelGrid(shape=(32, 28, 36), voxel_size_m=0.1, camera_index=(15.5, 14.25, 2.75))
CAMERA = Camera(50.0, 50.0, 31.5, 23.5, width=64, height=48)


def make_tiny_scene(score: float = 0.75) -> PanopticScene:
    i, j, k = np.meshgrid(*(np.arange(size, dtype=np.float64) for size in GRID.shape), indexing="ij")
    centre, half = (15.3, 14.2, 20.6), (4.0, 3.0, 3.0)
    beyond = np.stack([np.abs(axis - c) - h for axis, c, h in zip((i, j, k), centre, half, strict=True)])
    box = np.abs(np.linalg.norm(np.maximum(beyond, 0), axis=0) + np.minimum(beyond.max(0), 0))
    parts = np.stack([np.abs(j - 22.3), np.abs(k - 30.6), box])
    parts[:2, (j > 23) | (k > 31.2)] = 9.0  # nothing beyond floor and wall
    distance, nearest = torch.from_numpy(parts.min(0).astype(np.float32)), torch.from_numpy(parts.argmin(0))
    label = torch.tensor([FLOOR, WALL, SOFA])[nearest]
    semantic = torch.where(distance < 1, label, 0).to(torch.uint8)
    instance = torch.where(semantic == SOFA, 7, 0).to(torch.int32)
    shade = torch.arange(64 * 48, dtype=torch.int64).view(1, 48, 64) * torch.tensor([1, 3, 7]).view(3, 1, 1) % 256
    return PanopticScene(
        distance.clamp(max=3),
        semantic,
        instance,
        CAMERA,
        GRID,
        scores={7: score},
        provenance={"camera_source": "given intrinsics"},
        photo=shade.to(torch.uint8),
    )
