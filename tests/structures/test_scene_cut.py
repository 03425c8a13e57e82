import math

import pytest
import torch

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_cut import cut_scene
from panoptic3d.structures.taxonomy import FLOOR

_SIZE, _LEVEL = 40, 25
_GRID = VoxelGrid((_SIZE, _SIZE, _SIZE), 0.03, (19.5, 19.5, -20.5))


@pytest.mark.parametrize("angle_deg", [0, 10, 45])
def test_a_floor_has_no_holes_from_whatever_side_it_is_seen(angle_deg: int) -> None:
    level = (torch.arange(_SIZE) - _LEVEL).abs().clamp(max=3)[None, :, None].expand(_SIZE, _SIZE, _SIZE)
    semantic = torch.where(level < 1.5, FLOOR, 0).byte()
    camera = Camera.from_fov(60, 64, 48)
    scene = PanopticScene(level.float(), semantic, torch.zeros_like(semantic).int(), camera, _GRID)
    turn = math.radians(angle_deg)
    pose = torch.eye(4, dtype=torch.float64)
    pose[0, 0], pose[0, 2], pose[2, 0], pose[2, 2] = math.cos(turn), math.sin(turn), -math.sin(turn), math.cos(turn)
    middle = torch.tensor([0.0, 0.0, 1.2], dtype=torch.float64)
    pose[:3, 3] = middle - pose[:3, :3] @ middle  # about the middle of the grid
    is_inside = torch.zeros(_SIZE, _SIZE, _SIZE, dtype=torch.bool)
    is_inside[12:28, :, 12:28] = True
    cut = cut_scene(scene, pose, camera, _GRID, is_inside)
    on_floor = is_inside & (level == 0)
    assert float(cut.distance_vox[on_floor].max()) < 1e-3
    assert bool((cut.semantic[on_floor] == FLOOR).all())
