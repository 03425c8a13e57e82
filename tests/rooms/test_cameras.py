"""How cameras are held: the released one never moves, the varied ones stay within what is promised."""

import numpy as np

from panoptic3d.rooms.layout import LayoutConfig, make_room
from panoptic3d.rooms.layout.cameras import level_stance, released_stance, varied_stance
from panoptic3d.structures.camera import FRONT3D_CAMERA


def test_the_released_camera_draws_nothing() -> None:
    random = np.random.default_rng(0)
    before = random.bit_generator.state
    stance = released_stance(random)
    assert (stance.camera, stance.height_m, stance.pitch_deg, stance.roll_deg) == (FRONT3D_CAMERA, 0.75, 0.0, 0.0)
    assert random.bit_generator.state == before


def test_varied_cameras_fill_their_ranges_and_keep_to_them() -> None:
    random = np.random.default_rng(1)
    stances = [varied_stance(random) for _ in range(2000)]
    height, pitch, roll = (
        np.array([getattr(s, name) for s in stances]) for name in ("height_m", "pitch_deg", "roll_deg")
    )
    assert 0.4 <= height.min() < 0.5
    assert 1.9 < height.max() <= 2.0
    assert -35 <= pitch.min() < -33
    assert 12 < pitch.max() <= 15
    assert np.abs(roll).max() <= 5
    assert np.corrcoef(height, pitch)[0, 1] < -0.2  # who holds a camera high looks down
    sizes = {(s.camera.width, s.camera.height) for s in stances}
    assert {w > h for w, h in sizes} == {True, False}
    assert all(0.9 < w * h / (320 * 240) < 1.1 for w, h in sizes)
    off_centre = [s for s in stances if abs(s.camera.cx_px - (s.camera.width - 1) / 2) > 1]
    assert 0.05 < len(off_centre) / len(stances) < 0.2
    longest = [2 * np.degrees(np.arctan(max(s.camera.width, s.camera.height) / 2 / s.camera.fx_px)) for s in stances]
    assert min(longest) >= 45 - 1e-6
    assert max(longest) <= 90 + 1e-6


def test_level_cameras_differ_from_the_released_one_in_their_height_alone_or_also_in_their_lens() -> None:
    random = np.random.default_rng(2)
    stances = [level_stance(random) for _ in range(1000)]
    assert {(s.pitch_deg, s.roll_deg) for s in stances} == {(0.0, 0.0)}
    heights = np.array([s.height_m for s in stances])
    assert 0.4 <= heights.min() < 0.5
    assert 1.9 < heights.max() <= 2.0
    assert 0.45 < np.mean([s.camera == FRONT3D_CAMERA for s in stances]) < 0.55


def test_level_rooms_are_seen_by_level_cameras() -> None:
    room = make_room(3, LayoutConfig(room_type="dining", num_views=2, richness=0.2, camera="level"))
    for view in room.views:
        down = view.world_from_camera[:3, 1]
        np.testing.assert_allclose(down, [0, 0, -1], atol=1e-12)
    assert 0.75 not in [float(view.world_from_camera[2, 3]) for view in room.views]


def test_of_any_views_one_is_released_one_level_and_the_others_varied() -> None:
    room = make_room(3, LayoutConfig(room_type="dining", num_views=4, richness=0.2, camera="any"))
    heights = [float(view.world_from_camera[2, 3]) for view in room.views]
    tilts = [float(abs(view.world_from_camera[2, 2])) for view in room.views]
    assert heights[0] == 0.75
    assert 0.75 not in heights[1:]
    assert max(tilts[:2]) < 1e-12 < min(tilts[2:])


def test_of_mixed_views_the_first_half_is_as_released() -> None:
    room = make_room(3, LayoutConfig(room_type="dining", num_views=4, richness=0.2, camera="mixed"))
    heights = [float(view.world_from_camera[2, 3]) for view in room.views]
    assert heights[:2] == [0.75, 0.75]
    assert [view.camera for view in room.views[:2]] == [FRONT3D_CAMERA] * 2
    assert all(view.camera != FRONT3D_CAMERA for view in room.views[2:])
