"""Confidence that means something: closed forms and hand tables."""

import numpy as np
import pytest
from hypothesis import given

from panoptic3d.metrics.calibration import auroc, expected_calibration_error, sparsification_error
from tests.metrics.grids import seeds


@given(seeds)
def test_auroc_is_the_share_of_pairs_in_order(seed: int) -> None:
    random = np.random.default_rng(seed)
    confidence, is_right = random.integers(0, 5, 40) / 5, random.random(40) < 0.5
    if is_right.all() or not is_right.any():
        assert np.isnan(auroc(confidence, is_right))
        return
    right, wrong = confidence[is_right][:, None], confidence[~is_right][None]
    assert auroc(confidence, is_right) == pytest.approx(float(((right > wrong) + 0.5 * (right == wrong)).mean()))


def test_a_calibrated_confidence_has_no_error() -> None:
    confidence = np.repeat([0.25, 0.75], 4)
    is_right = np.array([1, 0, 0, 0, 1, 1, 1, 0], bool)
    assert expected_calibration_error(confidence, is_right) == 0
    assert expected_calibration_error(np.ones(8), is_right) == 0.5
    assert expected_calibration_error(np.ones(0), np.ones(0, bool)) == 0


def test_the_best_order_has_no_sparsification_error() -> None:
    is_right = np.array([0, 1] * 50, bool)
    assert sparsification_error(is_right.astype(float), is_right) == 0
    assert sparsification_error(1 - is_right.astype(float), is_right) > 0.4
    rather = np.where(is_right, 0.6, 0.4) + np.linspace(0, 0.3, 100)
    assert 0 < sparsification_error(rather, is_right) < 0.2
