"""Confidence intervals by resampling whole scenes, and a paired test between two methods.

Images of one scene share walls and furniture, so the scene is drawn, not the image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from panoptic3d.metrics.tally import FN, FP, IOU, IOU_ONE, TP, MeanOver, N
from panoptic3d.randomness import numpy_generator

Sums = Int64[np.ndarray, "units classes 5"]
NUM_RESAMPLES = 2000
_AT_ONCE = 256


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class PairedTest:
    """Bootstrap of the difference B - A on the same scenes."""

    difference: float
    interval: Interval
    p_value: float  # two-sided: how often a random exchange of A and B within scenes moves the score at least as far
    num_scenes: int


def mean_scores(sums: Int64[np.ndarray, "*b classes 5"], mean_over: MeanOver) -> Float64[np.ndarray, "*b 3"]:
    """PRQ, RSQ and RRQ, each the mean over the classes that count; the vectorised twin of `scores_of`."""
    iou, tp = sums[..., IOU] / IOU_ONE, sums[..., TP].astype(np.float64)
    denominator = tp + (sums[..., FP] + sums[..., FN]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        quality = np.stack((iou / denominator, iou / tp, tp / denominator), axis=-1)
    counts = sums[..., N] > 0 if mean_over == "classes_in_truth" else denominator > 0
    values = np.where(counts[..., None] & np.isfinite(quality), quality, 0.0)
    return values.sum(axis=-2) / np.maximum(counts.sum(axis=-1), 1)[..., None]


def intervals(
    per_scene: Sums, mean_over: MeanOver, level: float = 0.95, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> dict[str, Interval] | None:
    """Percentile intervals of prq, rsq and rrq; None with fewer than two scenes, where nothing can be resampled."""
    num_scenes = len(per_scene)
    if num_scenes < 2:
        return None
    random = numpy_generator(seed, "bootstrap over scenes")
    draws = [
        mean_scores(_weighted(_resample(random, num_scenes, count), per_scene), mean_over)
        for count in _portions(num_resamples)
    ]
    low, high = np.quantile(np.concatenate(draws), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {key: Interval(float(low[c]), float(high[c])) for c, key in enumerate(("prq", "rsq", "rrq"))}


def paired_test(
    a: Sums, b: Sums, mean_over: MeanOver, level: float = 0.95, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> PairedTest:
    """Compare PRQ on the same scenes in the same order."""
    num_scenes = len(a)
    random = numpy_generator(seed, "paired test")

    def difference(sums_a: np.ndarray, sums_b: np.ndarray) -> np.ndarray:
        return (mean_scores(sums_b, mean_over) - mean_scores(sums_a, mean_over))[..., 0]

    observed = float(difference(a.sum(axis=0), b.sum(axis=0)))
    drawn, exchanged = [], []
    for count in _portions(num_resamples):
        weights = _resample(random, num_scenes, count)
        drawn.append(difference(_weighted(weights, a), _weighted(weights, b)))
        swap = random.integers(0, 2, (count, num_scenes))
        moved = _weighted(swap, b - a)
        exchanged.append(difference(a.sum(axis=0) + moved, b.sum(axis=0) - moved))
    low, high = np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2])
    as_far = np.abs(np.concatenate(exchanged)) >= abs(observed) - 1e-12
    p_value = float((1 + as_far.sum()) / (1 + num_resamples))
    return PairedTest(observed, Interval(float(low), float(high)), p_value, num_scenes)


def paired_interval(
    a: Int64[np.ndarray, "units *sums"],
    b: Int64[np.ndarray, "units *sums"],
    score: Callable[[np.ndarray], np.ndarray],
    level: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> tuple[float, Interval]:
    """score(B) - score(A) of the sums over the same scenes, and its interval; `score` takes any number of leading axes."""
    random, drawn = numpy_generator(seed, "paired interval"), []
    for count in _portions(num_resamples):
        weights = _resample(random, len(a), count)
        drawn.append(score(_weighted(weights, b)) - score(_weighted(weights, a)))
    low, high = np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2])
    return float(score(b.sum(axis=0)) - score(a.sum(axis=0))), Interval(float(low), float(high))


def _portions(total: int) -> Sequence[int]:
    return [min(_AT_ONCE, total - start) for start in range(0, total, _AT_ONCE)]


def _resample(random: np.random.Generator, num_scenes: int, count: int) -> Int64[np.ndarray, "draws units"]:
    """How often each scene was drawn."""
    return random.multinomial(num_scenes, np.full(num_scenes, 1 / num_scenes), size=count)


def _weighted(
    weights: Int64[np.ndarray, "draws units"], sums: Int64[np.ndarray, "units *sums"]
) -> Int64[np.ndarray, "draws *sums"]:
    return np.tensordot(weights, sums, axes=1)
