"""Wavering walls become planes, evidence far from them stays, and the room goes on behind things."""

from dataclasses import replace

import numpy as np

from panoptic3d.export.flat_room import fit_flat_room, masks_of_stuff
from panoptic3d.export.rays import ray_slopes
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import Segment
from panoptic3d.structures.taxonomy import CHAIR, FLOOR, FRONT3D_TAXONOMY, WALL

CAMERA = Camera.from_fov(70.0, 96, 72)
SEGMENTS = (
    Segment("chair-1", CHAIR, 1, True, 0.9, 100),
    Segment("wall", WALL, 0, False, None, 100),
    Segment("floor", FLOOR, 0, False, None, 100),
)
GUIDE = np.full((72, 96, 3), 0.5, np.float32)
GUIDE[5:15, 60:80] = 0.9  # it is bright outside


def _seen() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True depth, the same with noise, and what each pixel shows: a floor, a wall, a window's reveal and a chair."""
    rays = ray_slopes(CAMERA)
    with np.errstate(divide="ignore"):
        floor = np.where(rays[..., 1] > 0, 0.8 / rays[..., 1], np.inf)
    wall = np.full(floor.shape, 3.0)
    depth, segment = np.minimum(floor, wall), np.where(floor < wall, 2, 1)
    depth[5:15, 60:80] = 4.0  # through a window
    depth[30:70, 30:50], segment[30:70, 30:50] = 1.6, 0
    noisy = depth * (1 + np.random.default_rng(0).normal(0, 0.01, depth.shape))
    return depth, noisy.astype(np.float32), segment


def test_wall_and_floor_are_flat_and_what_is_far_from_them_stays() -> None:
    true, noisy, segment = _seen()
    masks = masks_of_stuff(segment, SEGMENTS, FRONT3D_TAXONOMY)
    flat = fit_flat_room(noisy, masks, CAMERA).depth(noisy, masks, GUIDE)
    is_room = (segment > 0) & (true < 3.5)
    assert np.quantile(np.abs(flat / true - 1)[is_room], 0.99) < 0.02
    assert np.abs(flat / true - 1)[is_room].mean() < 0.25 * np.abs(noisy / true - 1)[is_room].mean()
    np.testing.assert_array_equal(flat[~is_room], noisy[~is_room])


def test_behind_a_chair_wall_and_floor_go_on_and_nowhere_else() -> None:
    _, noisy, segment = _seen()
    masks = masks_of_stuff(segment, SEGMENTS, FRONT3D_TAXONOMY)
    room = fit_flat_room(noisy, masks, CAMERA)
    depth, number = room.behind(noisy, {"wall": 1, "floor": 2}, segment == 0)
    assert np.array_equal(np.isfinite(depth), number >= 0)
    assert (number[segment != 0] == -1).all()
    assert (depth[number >= 0] > noisy[number >= 0]).all()
    rays = ray_slopes(CAMERA)
    assert {1, 2} <= set(np.unique(number[30:70, 30:50]).tolist())
    heights = (rays[..., 1] * np.where(number == 2, depth, 0))[number == 2]
    np.testing.assert_allclose(heights, 0.8, atol=0.03)


def test_a_wall_that_is_seen_too_far_away_comes_back_and_an_open_door_stays_open() -> None:
    true, noisy, segment = _seen()
    noisy[:, 8:16] = np.where(true[:, 8:16] == 3.0, 4.5, noisy[:, 8:16])  # open from top to bottom
    noisy[8:16, 86:94] *= 1.14  # the lower part of this wall is seen where it is
    masks = masks_of_stuff(segment, SEGMENTS, FRONT3D_TAXONOMY)
    flat = fit_flat_room(noisy, masks, CAMERA).depth(noisy, masks, GUIDE)
    np.testing.assert_allclose(flat[8:16, 87:93], 3.0, rtol=0.02)
    is_open = (true == 3.0)[:30, 8:16]
    np.testing.assert_array_equal(flat[:30, 8:16][is_open], noisy[:30, 8:16][is_open])


def test_a_picture_hangs_on_its_wall_and_a_chair_stays_before_it() -> None:
    _, noisy, segment = _seen()
    segment = segment.copy()
    segment[10:20, 20:30] = 3
    noisy[10:20, 20:30] = np.linspace(2.9, 3.4, 10)  # one side of it hangs out of the room
    segments = (*SEGMENTS, Segment("other-2", CHAIR, 2, True, 0.9, 100))
    room = fit_flat_room(noisy, masks_of_stuff(segment, segments, FRONT3D_TAXONOMY), CAMERA)
    inside = room.inside(noisy, segment, np.array([True, False, False, True]))
    np.testing.assert_allclose(inside[10:20, 20:30], 3.0, rtol=0.01)
    np.testing.assert_array_equal(inside[30:70, 30:50], noisy[30:70, 30:50])


def test_a_patch_of_wall_without_a_colour_of_its_own_is_put_back_and_one_with_a_colour_stays() -> None:
    _, noisy, segment = _seen()
    noisy[5:13, 40:50] = 2.2
    masks = masks_of_stuff(segment, SEGMENTS, FRONT3D_TAXONOMY)
    room = fit_flat_room(noisy, masks, CAMERA)
    np.testing.assert_allclose(room.depth(noisy, masks, GUIDE)[5:13, 40:50], 3.0, rtol=0.02)
    painted = GUIDE.copy()
    painted[5:13, 40:50] = (0.2, 0.1, 0.1)
    np.testing.assert_array_equal(room.depth(noisy, masks, painted)[5:13, 40:50], noisy[5:13, 40:50])


def test_a_speck_behind_the_room_comes_to_its_end_and_a_view_into_another_room_stays() -> None:
    _, noisy, segment = _seen()
    segment = segment.copy()
    segment[16:20, 20:30] = 0
    noisy[16:20, 20:30] = 6.0
    room = fit_flat_room(noisy, masks_of_stuff(segment, SEGMENTS, FRONT3D_TAXONOMY), CAMERA)
    inside = room.inside(noisy, segment, np.array([True, False, False]))
    np.testing.assert_allclose(inside[16:20, 20:30], 3.0, rtol=0.02)
    np.testing.assert_array_equal(inside[5:15, 60:80], noisy[5:15, 60:80])


def test_a_plane_before_the_thing_does_not_hide_the_room_behind_it() -> None:
    _, noisy, segment = _seen()
    masks = masks_of_stuff(segment, SEGMENTS, FRONT3D_TAXONOMY)
    room = fit_flat_room(noisy, masks, CAMERA)
    rays = replace(
        room.rays,
        depth_m=np.concatenate((np.full((1, 72, 96), 1.0), room.rays.depth_m)),
        is_there=np.concatenate((np.zeros((1, 72, 96), np.bool_), room.rays.is_there)),
        names=("wall", *room.rays.names),
    )
    as_before = room.behind(noisy, {"wall": 1, "floor": 2}, segment == 0)
    with_plane = replace(room, rays=rays).behind(noisy, {"wall": 1, "floor": 2}, segment == 0)
    np.testing.assert_array_equal(as_before[0], with_plane[0])
    assert np.isfinite(as_before[0]).any()
