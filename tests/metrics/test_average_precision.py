"""Average precision of masks, against hand-made cases and an obvious loop."""

import numpy as np
import pytest
from hypothesis import given

from panoptic3d.metrics.average_precision import MEAN_THRESHOLDS, MaskSet, average_precision
from tests.metrics.grids import seeds

_SIZE = 400


def _masks(*ranges: tuple[int, int]) -> np.ndarray:
    masks = np.zeros((len(ranges), _SIZE), dtype=bool)
    for mask, (first, last) in zip(masks, ranges, strict=True):
        mask[first:last] = True
    return masks


def _ap(predicted: np.ndarray, scores: list[float], truth: np.ndarray, min_elements: int = 100):
    return average_precision([MaskSet(predicted, np.array(scores, float))], [MaskSet(truth)], min_elements)


def test_all_found() -> None:
    truth = _masks((0, 100), (100, 250))
    scores = _ap(truth, [0.3, 0.9], truth)
    assert (scores.ap, scores.ap_50, scores.ap_25) == (1.0, 1.0, 1.0)


def test_a_duplicate_is_false_and_costs_only_if_it_comes_first() -> None:
    truth = _masks((0, 100), (100, 250))
    predicted = _masks((0, 100), (0, 99), (100, 250))
    assert _ap(predicted, [0.9, 0.1, 0.8], truth).ap_50 == 1.0
    assert _ap(predicted, [0.9, 0.85, 0.8], truth).ap_50 == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_half_an_object_counts_at_25_only() -> None:
    scores = _ap(_masks((0, 40)), [1.0], _masks((0, 100)))
    assert (scores.ap, scores.ap_50, scores.ap_25) == (0.0, 0.0, 1.0)


def test_small_regions_are_ignored_on_both_sides() -> None:
    truth = _masks((0, 100), (300, 350))
    predicted = _masks((0, 100), (300, 350))
    assert _ap(predicted, [0.5, 0.9], truth).ap == 1.0
    assert _ap(predicted, [0.5, 0.9], truth, min_elements=1).ap == 1.0
    assert _ap(_masks((0, 100), (200, 290)), [0.5, 0.9], truth).ap == pytest.approx(0.5)


def test_nothing_predicted_and_nothing_to_find() -> None:
    assert _ap(_masks(), [], _masks((0, 100))).ap == 0.0
    assert _ap(_masks((0, 100)), [1.0], _masks()).ap == 0.0


@given(seeds)
def test_it_is_the_area_that_an_obvious_loop_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = _masks(*[(100 * i, 100 * i + 100) for i in range(4)])
    predicted = np.array([np.roll(truth[rng.integers(4)], rng.integers(-60, 60)) for _ in range(6)])
    scores = rng.permutation(6) / 6
    made = _ap(predicted, scores.tolist(), truth)
    for threshold, value in ((0.5, made.ap_50), (0.25, made.ap_25)):
        assert value == pytest.approx(_obvious(predicted, scores, truth, threshold))
    assert made.ap == pytest.approx(np.mean([_obvious(predicted, scores, truth, t) for t in MEAN_THRESHOLDS]))


def _obvious(predicted: np.ndarray, scores: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    found: set[int] = set()
    right = []
    for p in np.argsort(-scores):
        ious = {
            t: (predicted[p] & truth[t]).sum() / (predicted[p] | truth[t]).sum() for t in range(4) if t not in found
        }
        best = max(ious, key=lambda t: (ious[t], -t), default=None)
        right.append(best is not None and ious[best] > threshold)
        if right[-1]:
            found.add(best)
    points = [(sum(right[: n + 1]) / 4, sum(right[: n + 1]) / (n + 1)) for n in range(len(right))]
    area, last = 0.0, 0.0
    for place, (recall, _) in enumerate(points):
        area += (recall - last) * max(p for _, p in points[place:])
        last = recall
    return area
