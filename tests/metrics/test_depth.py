import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panoptic3d.metrics.depth import depth_scores

_TRUTH = np.random.default_rng(0).uniform(1, 5, (24, 32))


def test_a_perfect_map() -> None:
    scores = depth_scores(_TRUTH, _TRUTH)
    assert scores is not None
    assert (scores.abs_rel, scores.rmse_m, scores.within_1_25) == (0.0, 0.0, 1.0)


def test_closed_forms_of_a_map_ten_percent_too_deep() -> None:
    scores = depth_scores(1.1 * _TRUTH, _TRUTH)
    assert scores is not None
    assert scores.abs_rel == pytest.approx(0.1)
    assert scores.rmse_log == pytest.approx(np.log(1.1))
    assert scores.scale_invariant_log == pytest.approx(0, abs=1e-12)


@given(st.floats(0.2, 4), st.floats(-0.5, 2))
def test_a_declared_alignment_removes_what_it_fits(scale: float, shift: float) -> None:
    aligned = depth_scores((_TRUTH - shift) / scale + 10, _TRUTH, "scale_shift")
    scaled = depth_scores(scale * _TRUTH, _TRUTH, "scale")
    by_median = depth_scores(scale * _TRUTH, _TRUTH, "median")
    assert aligned is not None
    assert scaled is not None
    assert by_median is not None
    assert max(aligned.rmse_m, scaled.rmse_m, by_median.rmse_m) < 1e-9


def test_an_inverted_map_is_not_fitted_by_a_mirror() -> None:
    scores = depth_scores(6 - _TRUTH, _TRUTH, "scale_shift")
    assert scores is not None
    assert scores.scale > 0
    assert scores.rmse_m > 0.5


def test_what_is_not_measured_does_not_count() -> None:
    holes = np.where(np.arange(32) < 16, _TRUTH, 0)
    scores = depth_scores(_TRUTH, holes)
    assert scores is not None
    assert scores.num_pixels == holes.astype(bool).sum()
    assert depth_scores(_TRUTH, np.zeros_like(_TRUTH)) is None
    assert depth_scores(np.full_like(_TRUTH, np.nan), _TRUTH) is None
