"""How the camera stands: planes along rays, and what the head says before it has learnt anything."""

import math

import torch

from panoptic3d.models.clearview.rays import ray_slopes
from panoptic3d.models.clearview.stance import HorizontalPlanes, Stance, StanceHead, horizontal_planes
from panoptic3d.structures.camera import Camera

CAMERA = Camera.from_fov(60.0, 80, 60)


def planes_of(pitch_deg: float, floor_m: float = 1.5, ceiling_m: float = 1.0) -> HorizontalPlanes:
    """Of a camera that looks up by `pitch_deg`."""
    pitch = math.radians(pitch_deg)
    stance = Stance(
        torch.tensor([[0.0, math.cos(pitch), -math.sin(pitch)]]), torch.tensor([floor_m]), torch.tensor([ceiling_m])
    )
    return horizontal_planes(stance, ray_slopes(torch.zeros(1, 1, 60, 80), (CAMERA,)))


def heights_m(planes: HorizontalPlanes, pitch_deg: float, plane: int) -> torch.Tensor:
    """How far below the camera the points lie that a plane's depths lead to."""
    pitch = math.radians(pitch_deg)
    x, y = ray_slopes(torch.zeros(1, 1, 60, 80), (CAMERA,))[0]
    points = torch.stack((x, y, torch.ones_like(x)), dim=-1) * planes.log_depth[0, plane].exp()[..., None]
    return points @ torch.tensor([0.0, math.cos(pitch), -math.sin(pitch)])


def test_every_ray_that_reaches_the_floor_ends_on_it() -> None:
    for pitch_deg in (-30.0, 0.0, 10.0):
        planes = planes_of(pitch_deg)
        for plane, height_m in ((0, 1.5), (1, -1.0)):
            near = planes.is_reached[0, plane] & (planes.log_depth[0, plane] < math.log(15.0))
            assert int(near.sum()) > 0 or pitch_deg == -30.0
            torch.testing.assert_close(
                heights_m(planes, pitch_deg, plane)[near],
                torch.full((int(near.sum()),), height_m),
                rtol=1e-4,
                atol=1e-4,
            )


def test_no_ray_reaches_floor_and_ceiling() -> None:
    planes = planes_of(5.0)
    assert not (planes.is_reached[0, 0] & planes.is_reached[0, 1]).any()
    assert planes.is_reached[0, 0, -1].all()
    assert planes.is_reached[0, 1, 0].all()


def test_a_pixel_that_is_sure_of_the_floor_lies_on_it_and_one_that_cannot_reach_it_does_not() -> None:
    planes = planes_of(0.0)
    free = torch.full((1, 60, 80), math.log(2.0))
    floor = torch.tensor([0.0, 50.0, 0.0])[None, :, None, None].expand(1, 3, 60, 80)
    chosen = planes.choose(free, floor)
    reached = planes.is_reached[0, 0]
    torch.testing.assert_close(chosen[0][reached], planes.log_depth[0, 0][reached])
    above = planes.is_reached[0, 1]
    assert torch.isfinite(chosen).all()
    assert not torch.allclose(chosen[0][above], planes.log_depth[0, 0][above])


def test_an_untrained_head_says_level_and_of_usual_height_for_any_frame() -> None:
    torch.manual_seed(0)
    head = StanceHead(8)
    for width, height in ((10, 8), (8, 10), (12, 7)):
        camera = Camera.from_fov(70.0, 32 * width, 32 * height)
        stance = head(torch.randn(2, 8, height, width), (camera, camera))
        torch.testing.assert_close(stance.down, torch.tensor([[0.0, 1.0, 0.0]]).expand(2, 3), rtol=0, atol=0.05)
        torch.testing.assert_close(stance.floor_m, torch.full((2,), 1.1), rtol=0, atol=0.1)
