"""Similarities are found again, and never mirrored."""

import math

import numpy as np
import pytest

from panoptic3d.geometry.similarity import fitted_similarity
from panoptic3d.randomness import numpy_generator

_SHIFT = np.array([1.0, -2.0, 3.0])


def _points(num: int) -> np.ndarray:
    return numpy_generator(num, "points").normal(size=(num, 3))


def _turn(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s * 0.6, c * 0.6, -0.8], [s * 0.8, c * 0.8, 0.6]])


@pytest.mark.parametrize("num", [3, 12])
def test_it_is_found_again(num: int) -> None:
    here = _points(num)
    there = 2.5 * here @ _turn(0.7).T + _SHIFT
    found = fitted_similarity(here, there)
    assert found.scale == pytest.approx(2.5)
    np.testing.assert_allclose(found.rotation, _turn(0.7), rtol=0, atol=1e-9)
    moved = here @ found.matrix[:3, :3].T + found.matrix[:3, 3]
    np.testing.assert_allclose(moved, there, rtol=0, atol=1e-9)
    rigid = fitted_similarity(here, here @ _turn(0.7).T + _SHIFT, has_scale=False)
    assert rigid.scale == 1.0
    np.testing.assert_allclose(rigid.translation, _SHIFT, rtol=0, atol=1e-9)


def test_a_mirrored_set_gets_a_rotation() -> None:
    here = _points(9)
    assert np.linalg.det(fitted_similarity(here, here * np.array([-1.0, 1, 1])).rotation) == pytest.approx(1)


@pytest.mark.parametrize("points", [_points(2), np.arange(4.0)[:, None].repeat(3, axis=1)])
def test_what_does_not_fix_a_rotation_is_still_brought_there(points: np.ndarray) -> None:
    found = fitted_similarity(points, 2 * points + _SHIFT)
    moved = points @ found.matrix[:3, :3].T + found.matrix[:3, 3]
    np.testing.assert_allclose(moved, 2 * points + _SHIFT, rtol=0, atol=1e-9)
    assert np.linalg.det(found.rotation) == pytest.approx(1)


def test_the_scale_is_bounded() -> None:
    here = _points(5)
    assert fitted_similarity(here, 0 * here, least_scale=1e-3).scale == 1e-3
