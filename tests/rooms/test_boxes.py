"""The analytic room: what it draws, measures and labels is one and the same scene."""

import pytest
import torch

from panoptic3d.geometry.pinhole import unproject_depth_map
from panoptic3d.geometry.voxels import nearest_voxels, trilinear
from panoptic3d.rooms.analytic.boxes import BoxRoom, random_room, render
from panoptic3d.structures.frame import DenseFrame
from panoptic3d.structures.sample import FAR_VOX


@pytest.fixture(scope="module")
def frame() -> DenseFrame:
    return render(random_room(3))


def test_depth_lands_on_surfaces_of_its_own_class_and_instance(frame: DenseFrame) -> None:
    points = unproject_depth_map(frame.depth_m.double(), frame.camera.intrinsics).view(-1, 3)
    nearest, is_inside = nearest_voxels(frame.grid.index_from_camera(points), frame.grid.shape)
    i, j, k = nearest[is_inside].T
    on_surface = frame.distance_vox[i, j, k] < 1
    assert on_surface.float().mean() > 0.985
    seen = frame.semantic_2d.view(-1)[is_inside]
    assert (frame.semantic[i, j, k] == seen)[on_surface].float().mean() > 0.99
    is_thing = on_surface & (seen < 10)
    instances = frame.instance_2d.view(-1)[is_inside]
    assert (frame.instance[i, j, k] == instances)[is_thing].float().mean() > 0.98


def test_the_field_is_zero_where_the_depth_says_and_grows_by_one_a_voxel(frame: DenseFrame) -> None:
    points = unproject_depth_map(frame.depth_m.double(), frame.camera.intrinsics).view(-1, 3)[::97]
    index = frame.grid.index_from_camera(points)
    assert trilinear(frame.distance_vox.double(), index).median() < 0.5
    near = frame.distance_vox < 8
    step = (frame.distance_vox[1:] - frame.distance_vox[:-1]).abs()[near[1:] & near[:-1]]
    assert step.max() <= 1 + 1e-4  # a distance is 1-Lipschitz


def test_volumes_keep_the_conventions_of_the_release(frame: DenseFrame) -> None:
    assert (frame.distance_vox[~frame.frustum_mask] == FAR_VOX).all()
    assert not ((frame.distance_vox > 8) & (frame.distance_vox < FAR_VOX)).any()
    assert torch.equal(frame.semantic > 0, frame.distance_vox < 1)
    assert ((frame.instance > 0) == ((frame.semantic > 0) & (frame.semantic < 10))).all()
    assert set(frame.weight.unique().tolist()) == {1, 2, 5, 10}
    assert torch.equal(frame.weight >= 5, frame.distance_vox < 3)
    assert frame.depth_m.min() > 0


@pytest.mark.slow
def test_a_seed_gives_the_same_room_and_another_seed_another() -> None:
    first, again, other = (render(random_room(seed)).image for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_empty_room_has_stuff_only() -> None:
    room = random_room(1, num_things=0)
    frame = render(BoxRoom(room.boxes, room.world_from_camera))
    assert set(frame.semantic.unique().tolist()) == {0, 10, 11}
    assert not frame.instance.any()
