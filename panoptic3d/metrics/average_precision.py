"""Average precision of masks, as ScanNet counts it: 25, 50 and the mean over 50 to 90 in steps of 5, by class or without."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

MEAN_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(9))


@dataclass(frozen=True, eq=False)
class MaskSet:
    """The masks of one scene over the same elements (points or voxels)."""

    masks: Bool[np.ndarray, "m n"]
    scores: Float[np.ndarray, " m"] | None = None  # of predictions


@dataclass(frozen=True)
class PrecisionScores:
    ap: float  # mean over 0.50:0.05:0.90
    ap_50: float
    ap_25: float


def average_precision(
    predictions: Sequence[MaskSet], truths: Sequence[MaskSet], min_elements: int = 100
) -> PrecisionScores:
    """Class-agnostic; for a class, give its masks only. True regions with fewer elements are ignored: finding them is
    neither right nor wrong, and so is a prediction that lies mostly on them."""
    return precision_of([overlap_table(p, t, min_elements) for p, t in zip(predictions, truths, strict=True)])


@dataclass(frozen=True, eq=False)
class OverlapTable:
    """All that average precision needs of a scene."""

    iou: np.ndarray  # predictions x targets, best score first
    scores: np.ndarray
    ignored_share: np.ndarray  # of each prediction on ignored regions


def precision_of(tables: Sequence[OverlapTable]) -> PrecisionScores:
    at = {threshold: _ap_at(tables, threshold) for threshold in (*MEAN_THRESHOLDS, 0.25)}
    return PrecisionScores(float(np.mean([at[t] for t in MEAN_THRESHOLDS])), at[0.5], at[0.25])


def overlap_table(prediction: MaskSet, truth: MaskSet, min_elements: int) -> OverlapTable:
    assert prediction.scores is not None, "predicted masks carry scores"
    order = np.argsort(-prediction.scores, kind="stable")
    masks = prediction.masks[order].astype(np.float64)
    keep = truth.masks.sum(axis=1) >= min_elements
    targets = truth.masks[keep].astype(np.float64)
    small = truth.masks[~keep].any(axis=0).astype(np.float64)
    both = masks @ targets.T
    union = masks.sum(axis=1)[:, None] + targets.sum(axis=1)[None] - both
    iou = both / np.maximum(union, 1)
    return OverlapTable(iou, prediction.scores[order], masks @ small / np.maximum(masks.sum(axis=1), 1))


def _ap_at(tables: Sequence[OverlapTable], threshold: float) -> float:
    """Every target is found by the best-scored prediction above the threshold; further ones are false."""
    num_targets = sum(table.iou.shape[1] for table in tables)
    scores, is_right = [], []
    for table in tables:
        taken = np.zeros(table.iou.shape[1], dtype=bool)
        for row, score, ignored in zip(table.iou, table.scores, table.ignored_share, strict=True):
            free = np.where(taken, 0.0, row)
            best = int(free.argmax()) if free.size else -1
            if best >= 0 and free[best] > threshold:
                taken[best] = True
            elif ignored > threshold:
                continue
            scores.append(score)
            is_right.append(best >= 0 and free[best] > threshold)
    return _area(np.array(scores), np.array(is_right, dtype=bool), num_targets)


def _area(scores: np.ndarray, is_right: np.ndarray, num_targets: int) -> float:
    """Under the precision-recall curve; predictions of one score enter together, so that their order does not count."""
    if not num_targets or not len(scores):
        return 0.0
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(is_right[order])
    last = np.flatnonzero(np.diff(scores, append=-np.inf))
    precision, recall = hits[last] / (last + 1), hits[last] / num_targets
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * envelope).sum())
