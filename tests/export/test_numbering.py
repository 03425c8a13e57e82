import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from panoptic3d.export.numbering import numbered


@given(st.lists(st.integers(0, 40), max_size=60))
def test_numbers_are_those_of_unique(values: list[int]) -> None:
    given_values = np.array(values, np.int64).reshape(-1, 1)
    distinct, number = numbered(given_values, 41)
    expected, inverse = np.unique(given_values, return_inverse=True)
    np.testing.assert_array_equal(distinct, expected)
    np.testing.assert_array_equal(number, inverse.reshape(given_values.shape))
