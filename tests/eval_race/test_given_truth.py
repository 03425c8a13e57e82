"""Maps with truth in them: true where there is a truth, and what the network said everywhere else."""

from dataclasses import replace

import pytest
import torch

from eval.race.given_image import with_image_truth
from eval.race.given_truth import with_truth
from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.data.frames import sample_from_frame
from panoptic3d.errors import InputError
from panoptic3d.models.clearview.maps import SEMANTICS, LayeredEstimate
from panoptic3d.models.occupancy_lift.instance_config import InstanceOccupancyConfig
from panoptic3d.models.occupancy_lift.instance_lift import InstanceOccupancyLift
from panoptic3d.models.slots import FittedImage, Panoptic2D, RayEstimate, Seen
from panoptic3d.rooms.analytic.boxes import random_room, render
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.pixel_map import PixelMap
from panoptic3d.structures.sample import Sample

_CAMERA = Camera(55.0, 55.0, 31.5, 23.5, width=64, height=48)
_FITTED = FittedImage(torch.zeros(1, 3, 48, 64), (_CAMERA,), PixelMap((1.0, 1.0), (0.0, 0.0)))
_NO_PYRAMID = Pyramid(*(torch.zeros(1, 1, 48 // s, 64 // s) for s in (4, 8, 16, 32)))
_GRID = VoxelGrid(shape=(32, 32, 32), voxel_size_m=0.2, camera_index=(15.5, 15.5, 1.0))


@pytest.fixture(scope="module")
def sample() -> Sample:
    """Without depth and classes in its first column."""
    made = sample_from_frame(render(random_room(0), _CAMERA, _GRID), "room", "0000")
    depth, semantic = made.depth_m.clone(), made.semantic_2d.clone()
    depth[:, :2], semantic[:, :2] = 0, 0
    return replace(made, depth_m=depth, semantic_2d=semantic)


def _said() -> tuple[Panoptic2D, LayeredEstimate]:
    torch.manual_seed(0)
    rays = LayeredEstimate(
        cameras=(_CAMERA.resized(32, 24),),
        depth_m=torch.full((1, 24, 32), 9.0),
        features=torch.randn(1, 4, 24, 32),
        occupancy_logits=torch.randn(1, 10, 24, 32),
        plane_spacing_m=0.6,
        log_spread=torch.zeros(1, 24, 32),
        layout_m=torch.full((1, 24, 32), 9.5),
    )
    return Panoptic2D((), {SEMANTICS: torch.randn(1, 13, 24, 32)}), rays


def test_true_depth_and_classes_are_those_of_the_sample(sample: Sample) -> None:
    panoptic, rays = with_truth(*_said(), sample, ("depth", "classes"))
    was, before = _said()
    for row, column in ((0, 0), (23, 5), (12, 31)):
        pixels = sample.depth_m[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        labels = sample.semantic_2d[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        is_known = column > 0
        assert bool((rays.depth_m[0, row, column] == (pixels if is_known else before.depth_m[0])).any())
        answer = int(panoptic.maps[SEMANTICS][0, :, row, column].argmax())
        assert answer in (
            labels.unique().tolist() if is_known else [int(was.maps[SEMANTICS][0, :, row, column].argmax())]
        )
    assert rays.layout_m is before.layout_m or bool((rays.layout_m == 9.5).all())


def test_the_true_layout_is_never_before_the_surface(sample: Sample) -> None:
    _, rays = with_truth(*_said(), sample, ("depth", "layout"))
    assert rays.layout_m is not None
    assert bool((rays.layout_m >= rays.depth_m)[:, :, 1:].all())
    assert bool((rays.layout_m != 9.5).any())


def test_true_planes_are_sure_where_they_are_known(sample: Sample) -> None:
    _, rays = with_truth(*_said(), sample, ("planes",))
    before = _said()[1]
    assert rays.occupancy_logits is not None
    assert before.occupancy_logits is not None
    is_known = rays.occupancy_logits != before.occupancy_logits
    assert set(rays.occupancy_logits[is_known].abs().tolist()) == {6.0}
    assert 0 < float((rays.occupancy_logits[is_known] > 0).float().mean()) < 0.5


def test_true_maps_for_a_net_behind_plain_rays(sample: Sample) -> None:
    """Masks of all things and depth as measured; what there is no truth or no map for is refused."""
    rays = RayEstimate((_CAMERA.resized(32, 24),), torch.zeros(1, 24, 32), torch.zeros(1, 2, 24, 32))
    seen = Seen(_FITTED, _NO_PYRAMID, Panoptic2D(()), rays)
    given = with_image_truth(seen, sample, ("depth", "instances"), None)
    things = [
        int(i)
        for i in sample.instance_2d.unique()
        if int((sample.instance_2d == i).sum()) > 20
        and sample.taxonomy.is_thing(int(sample.semantic_2d[sample.instance_2d == i].mode().values))
    ]
    assert len(given.panoptic.instances[0]) == len(things) > 0
    assert set(given.rays.depth_m.unique().tolist()) <= set(sample.depth_m.unique().tolist())
    with pytest.raises(InputError, match="leave `planes` out"):
        with_image_truth(seen, sample, ("planes",), None)
    with pytest.raises(InputError, match="no map `layout` to exchange"):
        with_image_truth(seen, sample, ("layout",), None)
    lift = InstanceOccupancyLift(InstanceOccupancyConfig(grid="camera"))
    planes = replace(rays, occupancy_logits=torch.zeros(1, 12, 24, 32), plane_spacing_m=0.5)
    with pytest.raises(InputError, match="leave `planes` out"):
        with_image_truth(replace(seen, rays=planes), replace(sample, truth=None), ("planes",), lift)


def test_a_map_that_is_not_there_cannot_be_exchanged(sample: Sample) -> None:
    panoptic, rays = _said()
    with pytest.raises(InputError, match="leave `layout` out"):
        with_truth(panoptic, replace(rays, layout_m=None), sample, ("layout",))
    with pytest.raises(InputError, match="leave `planes` out"):
        with_truth(panoptic, replace(rays, occupancy_logits=None), sample, ("planes",))
