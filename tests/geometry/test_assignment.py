"""The gated assignment against every matching there is."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from panoptic3d.geometry.assignment import assigned_pairs

_COSTS = st.tuples(st.integers(0, 4), st.integers(0, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-1, 1))
)


@given(cost=_COSTS, seed=st.integers(0, 99))
def test_no_matching_of_allowed_pairs_costs_less(cost: np.ndarray, seed: int) -> None:
    is_allowed = np.random.default_rng(seed).random(cost.shape) < 0.7
    pairs = assigned_pairs(cost, is_allowed)
    assert all(is_allowed[row, column] and cost[row, column] < 0 for row, column in pairs)
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
    gain = np.where(is_allowed, np.minimum(cost, 0), 0)
    assert sum(cost[row, column] for row, column in pairs) == pytest.approx(_least(gain), abs=1e-12)


def _least(gain: np.ndarray) -> float:
    """Over all matchings, of which a row may be left out."""
    rows, columns = gain.shape
    wide = np.concatenate((gain, np.zeros((rows, rows))), axis=1)
    return min(
        (sum(wide[r, c] for r, c in enumerate(choice)) for choice in permutations(range(columns + rows), rows)),
        default=0.0,
    )


def test_equal_costs_go_by_order() -> None:
    assert assigned_pairs(np.full((2, 2), -1.0)).tolist() == [[0, 0], [1, 1]]


def test_a_cost_must_be_a_number() -> None:
    with pytest.raises(ValueError, match="finite"):
        assigned_pairs(np.array([[np.nan]]))
