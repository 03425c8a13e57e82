"""Rippled surfaces of things are smooth again, at any angle, and what stands apart stays apart."""

import numpy as np

from panoptic3d.export.photo_smooth import settled

HEIGHT, WIDTH = 60, 80
BOX = slice(10, 50), slice(15, 65)


def _plane() -> np.ndarray:
    """Seen at a flat angle: from 1.5 to 3.3 m."""
    rows = np.arange(HEIGHT)[:, None]
    return np.broadcast_to(1 / (0.25 + 0.007 * rows), (HEIGHT, WIDTH)).astype(np.float32)


def _segments() -> np.ndarray:
    segment = np.full((HEIGHT, WIDTH), 1)
    segment[BOX] = 0
    return segment


def _off(depth: np.ndarray, true: np.ndarray) -> float:
    return float(np.abs(depth / true - 1)[BOX].mean())


def test_ripples_go_and_the_plane_stays_what_it_is() -> None:
    true, segment = _plane(), _segments()
    ripples = true * (1 + 0.01 * np.sin(np.arange(WIDTH) / 1.5)[None, :]).astype(np.float32)
    assert _off(settled(true, segment, np.array([True, False])), true) < 1e-4
    assert _off(settled(ripples, segment, np.array([True, False])), true) < 0.3 * _off(ripples, true)


def test_what_hangs_off_a_surface_comes_back_to_it() -> None:
    true, segment = _plane(), _segments()
    torn = true.copy()
    torn[10:11, 15:65] *= 1.3  # its rim, at the depth of what is behind
    fixed = settled(torn, segment, np.array([True, False]))
    assert np.abs(fixed / true - 1)[BOX].max() < 0.03


def test_two_surfaces_of_one_thing_stay_apart_and_stuff_is_left_alone() -> None:
    true, segment = _plane(), _segments()
    apart = true.copy()
    apart[:, 40:] *= 1.5
    both = settled(apart, segment, np.array([True, False]))
    np.testing.assert_allclose(both, apart, rtol=5e-4)
    noisy = true * (1 + np.random.default_rng(0).normal(0, 0.01, true.shape)).astype(np.float32)
    np.testing.assert_array_equal(settled(noisy, segment, np.array([False, False])), noisy)


def test_open_pixels_and_small_things_are_no_trouble() -> None:
    depth, segment = _plane().copy(), _segments()
    depth[20:30, 20:30] = np.inf
    segment[0, 0] = 2
    result = settled(depth, segment, np.array([True, False, True]))
    np.testing.assert_array_equal(np.isinf(result), np.isinf(depth))
    assert result[0, 0] == depth[0, 0]


def test_a_thin_part_turns_towards_the_camera_instead_of_into_the_wall() -> None:
    depth, segment = np.full((HEIGHT, WIDTH), 3.0, np.float32), np.full((HEIGHT, WIDTH), 1)
    segment[5:55, 30:35] = 0
    depth[5:55, 30:35] = np.linspace(1.5, 1.8, 5)  # a leg of a chair, smeared towards what is behind it
    leg = settled(depth, segment, np.array([True, False]))[5:55, 30:35]
    assert np.ptp(leg, axis=1).max() < 0.08
    assert 1.5 < leg.min() <= leg.max() < 1.8
