"""Match predicted segments with targets: first hit, as in the papers' code, or the best assignment."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from panoptic3d.geometry.assignment import assigned_pairs
from panoptic3d.metrics.protocol import MatchingRule


@dataclass(frozen=True)
class Overlap:
    """Two segments of one class that share voxels, by their places in the lists of segments."""

    truth: int
    prediction: int
    intersection: int
    union: int

    @property
    def iou(self) -> float:
        return self.intersection / self.union


def match(overlaps: Sequence[Overlap], rule: MatchingRule) -> list[Overlap]:
    """One-to-one among the overlaps above the threshold, by ascending target."""
    candidates = sorted((o for o in overlaps if o.iou > rule.iou_above), key=lambda o: (o.truth, o.prediction))
    return _first_hits(candidates) if rule.rule == "first_hit" else _optimal(candidates)


def _first_hits(candidates: Sequence[Overlap]) -> list[Overlap]:
    taken_truth: set[int] = set()
    taken_prediction: set[int] = set()
    matches = []
    for overlap in candidates:
        if overlap.truth not in taken_truth and overlap.prediction not in taken_prediction:
            matches.append(overlap)
            taken_truth.add(overlap.truth)
            taken_prediction.add(overlap.prediction)
    return matches


def _optimal(candidates: Sequence[Overlap]) -> list[Overlap]:
    """Maximise the sum of IoU. Among equal sums take more matches, so that renaming ids changes no count.

    Weights are whole numbers (2^-40 of IoU times 64, plus 1), which float64 adds without rounding for up to 127 matches.
    """
    if not candidates:
        return []
    truths = sorted({o.truth for o in candidates})
    predictions = sorted({o.prediction for o in candidates})
    weight = np.zeros((len(truths), len(predictions)))
    by_place = {(truths.index(o.truth), predictions.index(o.prediction)): o for o in candidates}
    for (row, column), overlap in by_place.items():
        weight[row, column] = round(overlap.iou * 2**40) * 64 + 1
    return [by_place[row, column] for row, column in assigned_pairs(-weight).tolist()]
