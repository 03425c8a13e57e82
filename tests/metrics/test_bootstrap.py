"""Intervals and tests over scenes, against what can be said by hand."""

import numpy as np
import pytest
from hypothesis import given

from panoptic3d.metrics.bootstrap import intervals, mean_scores, paired_interval, paired_test
from panoptic3d.metrics.tally import IOU_ONE, Tally, scores_of
from tests.metrics.grids import seeds


def _scenes(rng: np.random.Generator, count: int, quality: float) -> np.ndarray:
    """Each scene: ten chairs, some found at an IoU around the quality."""
    sums = np.zeros((count, 13, 5), dtype=np.int64)
    found = rng.binomial(10, quality, count)
    iou = np.clip(rng.normal(quality, 0.05, count), 0.3, 1) * found
    sums[:, 3] = np.stack(((iou * IOU_ONE).astype(np.int64), found, 10 - found, 10 - found, np.full(count, 10)), axis=1)
    return sums


@given(seeds)
def test_the_fast_mean_is_the_mean(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sums = rng.integers(0, 4, (13, 5))
    sums[:, 0] = sums[:, 1] * int(0.7 * IOU_ONE)
    sums[:, 4] = sums[:, 1] + sums[:, 3]
    for mean_over in ("classes_in_truth", "classes_seen"):
        scores = scores_of(Tally(sums), mean_over).all
        np.testing.assert_allclose(mean_scores(sums, mean_over), (scores.prq, scores.rsq, scores.rrq), atol=1e-12)


def test_an_interval_holds_the_score_and_narrows_with_more_scenes() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for count in (10, 160):
        sums = _scenes(rng, count, 0.6)
        interval = intervals(sums, "classes_seen")
        assert interval is not None
        score = mean_scores(sums.sum(axis=0), "classes_seen")[0]
        assert interval["prq"].low < score < interval["prq"].high
        widths.append(interval["prq"].high - interval["prq"].low)
    assert widths[1] < widths[0] / 2


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """100 sets of 40 scenes drawn from one distribution: at 95 %, between 87 and 100 intervals hold its score."""
    rng = np.random.default_rng(1)
    truth = mean_scores(_scenes(rng, 20_000, 0.6).sum(axis=0), "classes_seen")[0]
    made = [intervals(_scenes(rng, 40, 0.6), "classes_seen", num_resamples=400, seed=s) for s in range(100)]
    assert 87 <= sum(i is not None and i["prq"].low <= truth <= i["prq"].high for i in made) <= 100


def test_one_scene_has_no_interval() -> None:
    assert intervals(_scenes(np.random.default_rng(0), 1, 0.6), "classes_seen") is None


def test_equal_methods_are_not_told_apart_and_unequal_ones_are() -> None:
    rng = np.random.default_rng(2)
    a = _scenes(rng, 50, 0.6)
    same = paired_test(a, a, "classes_seen")
    assert (same.difference, same.p_value) == (0.0, 1.0)
    better = paired_test(a, _scenes(rng, 50, 0.75), "classes_seen")
    assert better.difference > 0.1
    assert better.p_value < 0.01
    assert better.interval.low > 0


def test_p_values_of_equal_methods_are_spread_evenly() -> None:
    rng = np.random.default_rng(3)
    p_values = [
        paired_test(_scenes(rng, 20, 0.6), _scenes(rng, 20, 0.6), "classes_seen", num_resamples=200, seed=s).p_value
        for s in range(60)
    ]
    assert np.mean(np.array(p_values) < 0.1) < 0.25
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.15)


def test_any_score_has_a_paired_interval() -> None:
    """As `paired_test` says it of PRQ; equal methods differ by nothing in every draw."""
    rng = np.random.default_rng(4)
    a, b = _scenes(rng, 30, 0.6), _scenes(rng, 30, 0.7)
    test = paired_test(a, b, "classes_seen")
    difference, interval = paired_interval(a, b, lambda sums: mean_scores(sums, "classes_seen")[..., 0])
    assert difference == test.difference
    assert interval.low == pytest.approx(test.interval.low, abs=0.01)
    assert interval.high == pytest.approx(test.interval.high, abs=0.01)
    same = paired_interval(a, a, lambda sums: mean_scores(sums, "classes_seen")[..., 0])
    assert (same[0], same[1].low, same[1].high) == (0, 0, 0)
