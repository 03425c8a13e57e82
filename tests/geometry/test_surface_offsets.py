"""The way to a surface survives being moved to another grid, where the distance itself does not."""

import numpy as np
import pytest

from panoptic3d.geometry.surface_offsets import SurfaceOffsets, nearest_value

_SHAPE = (18, 16, 17)


def _index() -> np.ndarray:
    return np.stack(np.meshgrid(*(np.arange(n) for n in _SHAPE), indexing="ij"), axis=-1).astype(np.float64)


def _plane(normal: np.ndarray, offset: float, at: np.ndarray) -> np.ndarray:
    return at @ (normal / np.linalg.norm(normal)) - offset


@pytest.mark.parametrize("normal", [(1, 0, 0), (0.6, -0.8, 0), (1, 2, -1.5)])
def test_a_plane_is_exact_between_grid_points(normal: tuple[float, ...]) -> None:
    direction = np.array(normal, float)
    offset = _plane(direction, 0, np.array([8.3, 7.6, 8.1]))
    field = np.minimum(np.abs(_plane(direction, offset, _index())), 3).astype(np.float32)
    places = np.random.default_rng(0).uniform(5, 11, (400, 3))
    true = _plane(direction, offset, places)
    is_near, distance, way = SurfaceOffsets.of(field, 3.0).at(places)
    inner = np.abs(true) < 1.2
    assert is_near[inner].all()
    assert np.abs(distance - np.abs(true))[inner].max() < 1e-3
    expected = -true[:, None] * direction / np.linalg.norm(direction)
    assert np.abs(way - expected)[inner].max() < 1e-3


def test_the_distances_themselves_lose_the_surface() -> None:
    """The control: halfway between two grid points on both sides of a plane the field reads 0.5 and not 0."""
    field = np.minimum(np.abs(_index()[..., 0] - 8.5), 3).astype(np.float32)
    assert (field[8] + field[9]).mean() / 2 == 0.5
    _, distance, _ = SurfaceOffsets.of(field, 3.0).at(np.array([[8.5, 8.2, 8.7]]))
    assert distance[0] < 1e-6


def test_no_surface_appears_between_two() -> None:
    """Two sheets five voxels apart: their ways cancel in the middle, where nothing is."""
    x = _index()[..., 0]
    field = np.minimum(np.minimum(np.abs(x - 6), np.abs(x - 11)), 3).astype(np.float32)
    _, distance, _ = SurfaceOffsets.of(field, 3.0).at(np.array([[8.5, 8, 8], [8.4, 8.5, 8.5]]))
    assert (distance > 1).all()


def test_nothing_near_and_nothing_at_all() -> None:
    far = SurfaceOffsets.of(np.full(_SHAPE, 3, np.float32), 3.0)
    is_near, _, _ = far.at(np.array([[4.0, 4, 4], [-9, 40, 2]]))
    assert not is_near.any()
    assert len(far.at(np.zeros((0, 3)))[0]) == 0


def test_the_nearest_value_ends_at_the_border() -> None:
    volume = np.arange(8).reshape(2, 2, 2)
    places = np.array([[0.4, 0.6, 1.4], [-0.6, 0, 0], [1.4, 1.4, 1.4], [1.6, 0, 0]])
    assert nearest_value(volume, places, outside=-1).tolist() == [3, -1, 7, -1]
