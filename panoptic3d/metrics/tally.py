"""The sums from which PRQ, RSQ and RRQ are made, and the scores that follow from them.

Sums are whole numbers (IoU in units of 2^-40), so that neither the order of the images nor the number of ranks changes a
bit of the result. Eight million matches a class fit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64

from panoptic3d.metrics.labelled import NUM_CLASSES
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy

IOU_ONE = 2**40
IOU, TP, FP, FN, N = range(5)  # columns

MeanOver = Literal["classes_in_truth", "classes_seen"]


@dataclass(frozen=True, eq=False)
class Tally:
    """Per class: sum of IoU, true and false positives, false negatives and number of targets."""

    sums: Int64[np.ndarray, "classes 5"]

    @classmethod
    def zero(cls, num_classes: int = NUM_CLASSES) -> "Tally":
        return cls(np.zeros((num_classes, 5), dtype=np.int64))

    @classmethod
    def total(cls, tallies: Iterable["Tally"]) -> "Tally":
        sums = np.zeros((NUM_CLASSES, 5), dtype=np.int64)
        for tally in tallies:
            sums += tally.sums
        return cls(sums)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.sums + other.sums)

    def score(self, class_id: int) -> "ClassScore":
        iou, tp, fp, fn, n = (int(value) for value in self.sums[class_id])
        iou_sum = iou / IOU_ONE
        denominator = tp + fp / 2 + fn / 2
        quality = (iou_sum / denominator, tp / denominator) if denominator else (0.0, 0.0)
        return ClassScore(quality[0], iou_sum / tp if tp else 0.0, quality[1], iou_sum, tp, fp, fn, n)

    @property
    def seen_classes(self) -> tuple[int, ...]:
        """Classes with a target, a prediction or both."""
        return tuple(np.flatnonzero(self.sums[:, TP:].any(axis=1)).tolist())

    def classes_in_mean(self, mean_over: MeanOver) -> tuple[int, ...]:
        if mean_over == "classes_in_truth":
            return tuple(np.flatnonzero(self.sums[:, N] > 0).tolist())
        return tuple(np.flatnonzero(self.sums[:, TP:N].any(axis=1)).tolist())


@dataclass(frozen=True)
class Quality:
    """Fractions in [0, 1]: reconstruction, segmentation and recognition quality."""

    prq: float
    rsq: float
    rrq: float


@dataclass(frozen=True)
class ClassScore(Quality):
    iou_sum: float
    tp: int
    fp: int
    fn: int
    n: int


@dataclass(frozen=True)
class Scores:
    """Means over classes, each counting the same. RSQ and RRQ are averaged by themselves: PRQ is not their product."""

    all: Quality
    things: Quality
    stuff: Quality
    per_class: dict[int, ClassScore]  # every class seen
    in_mean: tuple[int, ...]


def scores_of(tally: Tally, mean_over: MeanOver, taxonomy: Taxonomy = FRONT3D_TAXONOMY) -> Scores:
    per_class = {class_id: tally.score(class_id) for class_id in tally.seen_classes}
    in_mean = tally.classes_in_mean(mean_over)
    things = [class_id for class_id in in_mean if taxonomy.is_thing(class_id)]
    stuff = [class_id for class_id in in_mean if not taxonomy.is_thing(class_id)]
    means = (_mean([per_class[class_id] for class_id in ids]) for ids in (in_mean, things, stuff))
    return Scores(*means, per_class=per_class, in_mean=in_mean)


def _mean(scores: Iterable[ClassScore]) -> Quality:
    """Mean quality over classes; 0 without any class."""
    table = np.array([(s.prq, s.rsq, s.rrq) for s in scores]).reshape(-1, 3)
    return Quality(*(float(value) for value in (table.mean(axis=0) if len(table) else np.zeros(3))))
