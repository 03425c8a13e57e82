"""A floor under noise, seen by cameras of any tilt."""

import math

import pytest
import torch

from panoptic3d.geometry.floor_plane import floor_plane
from panoptic3d.geometry.room_planes import PlaneRules

RULES = PlaneRules(least_points=200)


@pytest.mark.parametrize("pitch_deg", [-12.0, 0.0, 8.0, 25.0, 50.0])
def test_the_floor_is_found_whatever_the_tilt(pitch_deg: float) -> None:
    draw = torch.Generator().manual_seed(0)
    flat = torch.rand(2000, 2, generator=draw, dtype=torch.float64) * torch.tensor([3.0, 3.0]) - torch.tensor(
        [1.5, -1.0]
    )
    noise = 0.01 * torch.randn(2000, generator=draw, dtype=torch.float64)
    level = torch.stack((flat[:, 0], 1.4 + noise, flat[:, 1]), dim=1)  # x right, y down, z ahead, level
    clutter = torch.rand(600, 3, generator=draw, dtype=torch.float64) * 2 + torch.tensor([-1.0, -0.8, 1.0])
    p = math.radians(pitch_deg)
    turn = torch.tensor([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]], dtype=torch.float64)
    plane = floor_plane(torch.cat((level, clutter)) @ turn.T, RULES)
    assert plane is not None
    assert -plane.offset_m == pytest.approx(1.4, abs=0.01)
    up = turn @ torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)
    assert float(plane.normal @ up) > math.cos(math.radians(1.0))


def test_too_few_points_are_no_floor() -> None:
    assert floor_plane(torch.zeros(0, 3, dtype=torch.float64), RULES) is None
    assert floor_plane(torch.ones(150, 3, dtype=torch.float64), RULES) is None
