import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from panoptic3d.geometry.turned_lattice import touched_cells


@pytest.mark.parametrize(("angles_deg", "size"), [((0, 45, 0), 1.0), ((10, 40, 25), 1.0), ((0, 30, 45), 2.0)])
def test_no_point_of_the_other_grid_is_missed(angles_deg: tuple[int, int, int], size: float) -> None:
    turn, shift = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix() * size, np.array([0.3, -0.2, 7.6])
    index = np.argwhere(np.ones((9, 8, 7), np.bool_))
    found = touched_cells(index, lambda points: points @ turn.T + shift)
    every = np.argwhere(np.ones((60, 60, 60), np.bool_)) - 30
    cell = np.round((every - shift) @ np.linalg.inv(turn).T)
    inside = every[((cell >= 0) & (cell < (9, 8, 7))).all(axis=1)]
    assert {tuple(row) for row in inside.tolist()} <= {tuple(row) for row in found.tolist()}
    gap = np.linalg.norm(((found - shift) @ np.linalg.inv(turn).T).clip(0, (8, 7, 6)) @ turn.T + shift - found, axis=1)
    assert gap.max() < size * 3**0.5 / 2 + 0.5**0.5  # nothing far from every cell
    assert np.array_equal(found, np.unique(found, axis=0))


def test_a_grid_that_is_not_turned_stays_as_it_is() -> None:
    index = np.array([[0, 0, 0], [2, 1, 5]])
    assert touched_cells(index, lambda points: points + np.array([4.0, 0.0, -1.0])).tolist() == [[4, 0, -1], [6, 1, 4]]


def test_nothing_touches_nothing() -> None:
    assert touched_cells(np.zeros((0, 3), np.int64), lambda points: points).shape == (0, 3)
