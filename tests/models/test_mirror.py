"""Test-time augmentation: maps of a photo and of its mirror image, averaged."""

from dataclasses import replace

import pytest
import torch

from panoptic3d.errors import InputError
from panoptic3d.models.clearview.build import build_clearview
from panoptic3d.models.clearview.config import ClearviewConfig, NeckConfig, PixelConfig, RayConfig, VoxelNetConfig
from panoptic3d.models.clearview.maps import SEMANTICS, VOTE_SPREAD, VOTES
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import Panoptic2D, RayEstimate, Seen
from panoptic3d.structures.camera import Camera

CAMERA = Camera(140.0, 138.0, 70.0, 63.0, 160, 120)  # its axis is not in the middle


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    config = ClearviewConfig(
        neck=NeckConfig(width=16),
        rays=RayConfig(width=8, has_stance=True),
        panoptic=PixelConfig(has_votes=True),
        voxel_net=VoxelNetConfig(channels_64=(8, 8, 8), channels_128=8, channels_256=8),
    )
    torch.manual_seed(0)
    pipeline = build_clearview(config).eval()
    for head in (pipeline.rays.depth, pipeline.panoptic.classes, pipeline.panoptic.votes, pipeline.rays.stance.said):
        torch.nn.init.normal_(head.weight, std=0.1)  # they start at nearly a constant
    return pipeline


def _image(seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (1, 3, 120, 160), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def _both_ways(pipeline: Pipeline, image: torch.Tensor, camera: Camera) -> Seen:
    mirrored = pipeline.see(image.flip(-1), (camera.mirrored(),))
    return pipeline.see(image, (camera,)).averaged_with(mirrored)


def test_a_mirrored_camera_sees_a_mirrored_point_at_the_mirrored_pixel() -> None:
    x, z = 0.7, 2.5
    column = CAMERA.fx_px * x / z + CAMERA.cx_px
    other = CAMERA.mirrored()
    assert other.fx_px * -x / z + other.cx_px == pytest.approx(CAMERA.width - 1 - column)
    assert other.mirrored() == CAMERA


def test_the_maps_of_a_mirrored_photo_are_the_mirrored_maps(pipeline: Pipeline) -> None:
    """Without the average they are not, since no convolution was made symmetric."""
    with torch.inference_mode():
        once = pipeline.see(_image(), (CAMERA,))
        other = pipeline.see(_image().flip(-1), (CAMERA.mirrored(),))
    assert not torch.allclose(once.rays.depth_m, other.rays.depth_m.flip(-1), rtol=1e-2)
    here = _both_ways(pipeline, _image(), CAMERA)
    there = _both_ways(pipeline, _image().flip(-1), CAMERA.mirrored())
    for name in ("depth_m", "log_spread", "layout_m", "occupancy_logits"):
        torch.testing.assert_close(getattr(here.rays, name), getattr(there.rays, name).flip(-1), msg=name)
    for name in (SEMANTICS, VOTE_SPREAD):
        torch.testing.assert_close(here.panoptic.maps[name], there.panoptic.maps[name].flip(-1), msg=name)
    to_the_right = torch.tensor([-1.0, 1, 1])
    votes = there.panoptic.maps[VOTES].flip(-1) * to_the_right[:, None, None]
    torch.testing.assert_close(here.panoptic.maps[VOTES], votes)
    torch.testing.assert_close(here.rays.stance.down, there.rays.stance.down * to_the_right)
    torch.testing.assert_close(here.rays.stance.down.norm(dim=1), torch.ones(1))
    torch.testing.assert_close(here.rays.stance.floor_m, there.rays.stance.floor_m)


def test_the_mean_of_a_map_with_itself_is_that_map(pipeline: Pipeline) -> None:
    with torch.inference_mode():
        seen = pipeline.see(_image(), (CAMERA,))
    flipped = {name: map_.flip(-1) for name, map_ in seen.panoptic.maps.items()}
    flipped[VOTES] = flipped[VOTES] * torch.tensor([-1.0, 1, 1])[:, None, None]
    same = seen.panoptic.averaged_with(replace(seen.panoptic, maps=flipped))
    for name, map_ in seen.panoptic.maps.items():
        torch.testing.assert_close(same.maps[name], map_, msg=name)


def test_the_room_stays_behind_what_is_seen(pipeline: Pipeline) -> None:
    rays = _both_ways(pipeline, _image(3), CAMERA).rays
    assert bool((rays.layout_m >= rays.depth_m).all())


def test_methods_without_such_maps_refuse() -> None:
    found = Panoptic2D(instances=())
    with pytest.raises(InputError, match="leave --tta out"):
        found.averaged_with(found)
    rays = RayEstimate((CAMERA,), torch.ones(1, 2, 2), torch.ones(1, 1, 2, 2))
    with pytest.raises(InputError, match="leave --tta out"):
        rays.averaged_with(rays)
