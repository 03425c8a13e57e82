"""Planes of a room from noisy points of it, whatever way the camera looks."""

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from panoptic3d.geometry.room_planes import PlaneRules, fit_room

_NOISE_M = 0.02


def _on_plane(normal: torch.Tensor, offset: float, generator: torch.Generator, num: int = 4000) -> torch.Tensor:
    """A patch of 2 m a side around the foot of the origin."""
    axis = torch.eye(3, dtype=torch.float64)[normal.abs().argmin()]
    one = torch.nn.functional.normalize(torch.linalg.cross(normal, axis), dim=0)
    other = torch.linalg.cross(normal, one)
    place = torch.rand(num, 2, generator=generator, dtype=torch.float64) * 2 - 1
    noise = torch.randn(num, 1, generator=generator, dtype=torch.float64) * _NOISE_M
    return (offset + noise) * normal + place[:, :1] * one + place[:, 1:] * other


@pytest.mark.parametrize("yaw_deg", [0, 17, 44, 80])
@pytest.mark.parametrize("pitch_deg", [-12, 0, 25])
def test_floor_and_walls_come_back_within_a_degree_and_a_centimetre(yaw_deg: int, pitch_deg: int) -> None:
    generator = torch.Generator().manual_seed(yaw_deg + 100)
    turn = torch.from_numpy(Rotation.from_euler("xy", (pitch_deg, yaw_deg), degrees=True).as_matrix())
    up, one, other = (turn @ torch.tensor(v, dtype=torch.float64) for v in ((0.0, -1, 0), (1.0, 0, 0), (0.0, 0, -1)))
    floor = _on_plane(up, -1.4, generator)
    wall = torch.cat((_on_plane(one, -2.0, generator), _on_plane(other, -3.0, generator)))
    stray = torch.rand(500, 3, generator=generator, dtype=torch.float64) * 4 - 2
    room = fit_room(floor, floor[:0], torch.cat((wall, stray)), PlaneRules())
    assert room.floor is not None
    assert room.ceiling is None
    assert math.degrees(math.acos(min(1.0, float(room.floor.normal @ up)))) < 1
    assert room.floor.offset_m == pytest.approx(-1.4, abs=0.01)
    assert len(room.walls) == 2
    for normal, offset in ((one, -2.0), (other, -3.0)):
        best = max(room.walls, key=lambda wall: float(wall.normal @ normal))
        assert math.degrees(math.acos(min(1.0, float(best.normal @ normal)))) < 1
        assert best.offset_m == pytest.approx(offset, abs=0.01)


def test_too_little_evidence_is_no_plane() -> None:
    few = torch.rand(50, 3, dtype=torch.float64)
    room = fit_room(few, few, few, PlaneRules())
    assert (room.floor, room.ceiling, room.walls) == (None, None, ())
    assert room.up.tolist() == [0.0, -1.0, 0.0]


def test_a_large_wall_stands_right_although_a_strip_of_floor_lies_wrong() -> None:
    generator = torch.Generator().manual_seed(5)
    turn = torch.from_numpy(Rotation.from_euler("xyz", (8, 20, 1), degrees=True).as_matrix())
    up, across, ahead = (turn @ torch.tensor(v, dtype=torch.float64) for v in ((0.0, -1, 0), (1.0, 0, 0), (0.0, 0, -1)))
    wall = _on_plane(ahead, -3.0, generator, 20_000)
    strip = _on_plane(up, -1.4, generator, 500)
    strip = strip - 0.9 * (strip @ ahead)[:, None] * ahead - 2.6 * ahead  # 20 cm deep
    lean = torch.from_numpy(Rotation.from_rotvec((across * 0.02).numpy()).as_matrix())
    strip = (strip - strip.mean(dim=0)) @ lean.T + strip.mean(dim=0)
    room = fit_room(strip, strip[:0], wall, PlaneRules())
    assert room.floor is not None
    assert len(room.walls) == 1
    assert math.degrees(math.acos(min(1.0, float(room.walls[0].normal @ ahead)))) < 0.1
    assert float(room.floor.normal @ room.walls[0].normal) == pytest.approx(0.0, abs=1e-9)
    assert torch.allclose(room.up, room.floor.normal)
