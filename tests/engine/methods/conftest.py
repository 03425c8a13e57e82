"""Rooms on a grid of 64^3 and a PanoRecon that is narrow enough for a test."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from panoptic3d.data.truth import truth_from_volumes
from panoptic3d.engine.methods.panorecon.config import FAITHFUL_TRAINING, PanoReconSettings
from panoptic3d.engine.methods.panorecon.method import PanoReconMethod
from panoptic3d.engine.training.stages import learnable_names, set_trained_parts
from panoptic3d.models.panorecon.config import CORRECTED, FAITHFUL
from panoptic3d.models.surface_lift import lift
from panoptic3d.structures.batch import Batch, collate
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import FAR_VOX, Sample
from panoptic3d.structures.taxonomy import CHAIR, SOFA, WALL

SMALL_GRID = VoxelGrid(shape=(64, 64, 64), voxel_size_m=0.1, camera_index=(31.6, 31.7, 2.4))
CAMERA = Camera(60.0, 60.0, 47.5, 31.5, width=96, height=64)
WALL_M = 4.0

NARROW = {
    "fit": {"width": 96, "height": 64},
    "trunk": {"width": 16},
    "rays": {"num_climbed": 2, "num_fused": 1},
    "panoptic": {"rois": {"width": 16}, "proposals": {"anchor_sizes_px": [16, 32]}},
    "voxel_net": {"width": 1, "num_features": 6},
}
QUICK = {"image_terms": {"rois": {"num_sampled": 16}}, "supply": {"min_pixels": 20}}


def room(number: int, num_things: int = 2) -> Sample:
    """A wall, and upright boards before it: a sofa on the left, a chair on the right."""
    random = np.random.default_rng(number)
    semantic = np.full((CAMERA.height, CAMERA.width), WALL, np.uint8)
    instance = np.full(semantic.shape, 3, np.int32)
    depth = np.full(semantic.shape, WALL_M, np.float32)
    k = np.arange(64)[None, None] + np.zeros((64, 64, 1))
    wall_k = WALL_M / SMALL_GRID.voxel_size_m + SMALL_GRID.camera_index[2]
    distance = np.abs(k - wall_k)
    labels, ids = np.full(k.shape, WALL), np.zeros(k.shape, np.int64)
    for thing in range(num_things):
        at_m, left = 2.0 + 0.5 * thing, 10 + 45 * thing
        rows, columns = slice(20, 50), slice(left, left + 25)
        semantic[rows, columns], instance[rows, columns] = (SOFA, CHAIR)[thing], 20 + thing
        depth[rows, columns] = at_m
        corners = [
            (u - c) / CAMERA.fx_px * at_m / 0.1 for u, c in ((left, 47.5), (left + 24, 47.5), (20, 31.5), (49, 31.5))
        ]
        low_i, high_i, low_j, high_j = (int(c + 31.6) for c in corners)
        board = np.full(k.shape, FAR_VOX)
        board[low_i:high_i, low_j:high_j] = np.abs(k - (at_m / 0.1 + 2.4))[low_i:high_i, low_j:high_j]
        labels, ids = (
            np.where(board < distance, (SOFA, CHAIR)[thing], labels),
            np.where(board < distance, 20 + thing, ids),
        )
        distance = np.minimum(distance, board)
    is_labelled = distance < 1
    distance = np.where(distance < 8, distance, FAR_VOX).astype(np.float32)
    weight = np.where(distance < 3, 5, 1)
    labels, ids = np.where(is_labelled, labels, 0), np.where(is_labelled, ids, 0)
    mask = np.ones(k.shape, bool)
    return Sample(
        scene="room",
        frame=f"{number:04d}",
        image=torch.from_numpy(random.integers(0, 256, (3, CAMERA.height, CAMERA.width), dtype=np.uint8)),
        camera=CAMERA,
        depth_m=torch.from_numpy(depth),
        semantic_2d=torch.from_numpy(semantic),
        instance_2d=torch.from_numpy(instance),
        truth=truth_from_volumes(SMALL_GRID, distance, labels, ids, weight, mask),
    )


def batch_of(*samples: Sample) -> Batch:
    return collate(samples)


def settings(mode: str = "corrected", **changes: Any) -> PanoReconSettings:
    """Of either mode, narrow; `changes` go on top, trees into trees."""
    network = FAITHFUL if mode == "faithful" else CORRECTED
    tree: dict[str, Any] = {"network": network}
    if mode == "faithful":
        tree = _merged(tree, FAITHFUL_TRAINING)
    for more in ({"network": NARROW}, QUICK, changes):
        tree = _merged(tree, more)
    return PanoReconSettings.model_validate(tree)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PanoReconMethod]:
    """Builds with weights that are always the same, and lifts into the small grid."""
    monkeypatch.setattr(lift, "FRONT3D_GRID", SMALL_GRID)

    def build(*parts: str, mode: str = "corrected", **changes: Any) -> PanoReconMethod:
        torch.manual_seed(0)
        method = PanoReconMethod(settings(mode, **changes))
        torch.nn.init.constant_(method.network.rays.depth.bias, 2.0)
        set_trained_parts(method, parts, learnable_names(method))
        return method

    return build


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    nested = {
        k: _merged(under[k], v) for k, v in over.items() if isinstance(v, dict) and isinstance(under.get(k), dict)
    }
    return under | over | nested
