"""PQ over a whole scene (Panoptic Lifting, CVPR 2023): the pixels of all views are one image, so an id must mean the same
object in every view. Works on any list of labelled elements: pixels of views, points, voxels.

The published code has a loophole, off by default here: a class that occurs on less than 0.5 % of the elements of the
prediction or of the ground truth becomes void, so that predicting a class almost nowhere beats not predicting it.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Integer

VOID = 0
_MATCH_ABOVE = 0.5
_LOOPHOLE_SHARE = 0.005


@dataclass(frozen=True)
class SceneClassScore:
    pq: float
    sq: float
    rq: float
    tp: int
    fp: int
    fn: int


@dataclass(frozen=True)
class SceneScores:
    pq: float
    sq: float
    rq: float
    per_class: dict[int, SceneClassScore]


def scene_quality(
    predicted_class: Integer[np.ndarray, " n"],
    predicted_instance: Integer[np.ndarray, " n"],
    true_class: Integer[np.ndarray, " n"],
    true_instance: Integer[np.ndarray, " n"],
    *,
    things: Collection[int],
    stuff: Collection[int],
    compat: str | None = None,
) -> SceneScores:
    """PQ, SQ and RQ, means over the classes that occur; elements whose true class is void are left out before.

    `compat="panoptic_lifting"` voids rare classes as the published code does.
    """
    if compat not in (None, "panoptic_lifting"):
        raise ValueError(f"compat is {compat!r}; it can be None or 'panoptic_lifting'")
    is_known = np.asarray(true_class) != VOID
    if compat == "panoptic_lifting":
        rare = _rare_classes(predicted_class[is_known], true_class[is_known])
        things, stuff = set(things) - rare, set(stuff) - rare
    prediction = _segments(predicted_class[is_known], predicted_instance[is_known], things, stuff)
    truth = _segments(true_class[is_known], true_instance[is_known], things, stuff)
    classes = [c for c in (*things, *stuff) if (truth[0] == c).any() or (prediction[0] == c).any()]
    per_class = {c: _class_score(c, prediction, truth) for c in sorted(classes)}
    table = np.array([(s.pq, s.sq, s.rq) for s in per_class.values()]).reshape(-1, 3)
    means = table.mean(axis=0) if len(table) else np.zeros(3)
    return SceneScores(*(float(value) for value in means), per_class=per_class)


def _rare_classes(*sides: np.ndarray) -> set[int]:
    """Classes that occur, but hardly, on either side. One that never occurs is not rare: that is the loophole."""
    rare: set[int] = set()
    for classes in sides:
        found, counts = np.unique(classes, return_counts=True)
        rare |= set(found[counts < _LOOPHOLE_SHARE * len(classes)].tolist())
    return rare


def _segments(
    classes: np.ndarray, instances: np.ndarray, things: Collection[int], stuff: Collection[int]
) -> tuple[np.ndarray, np.ndarray]:
    """(class, id) of every element: stuff has id 0, classes that are neither become void."""
    is_thing, is_stuff = np.isin(classes, list(things)), np.isin(classes, list(stuff))
    known = np.where(is_thing | is_stuff, classes, VOID).astype(np.int64)
    return known, np.where(is_thing, instances, 0).astype(np.int64)


def _class_score(
    class_id: int, prediction: tuple[np.ndarray, np.ndarray], truth: tuple[np.ndarray, np.ndarray]
) -> SceneClassScore:
    is_predicted, is_true = prediction[0] == class_id, truth[0] == class_id
    is_void = truth[0] == VOID
    ious, found_true, found_predicted = [], set(), set()
    for target in np.unique(truth[1][is_true]).tolist():
        own = is_true & (truth[1] == target)
        for guess in np.unique(prediction[1][own & is_predicted]).tolist():
            other = is_predicted & (prediction[1] == guess)
            iou = _iou(own, other, is_void, prediction[0] == VOID)
            if iou > _MATCH_ABOVE:
                ious.append(iou)
                found_true.add(target)
                found_predicted.add(guess)
    fn = _unmatched(truth[1], is_true, found_true, prediction[0] == VOID)
    fp = _unmatched(prediction[1], is_predicted, found_predicted, is_void)
    tp, total = len(ious), float(sum(ious))
    denominator = tp + fp / 2 + fn / 2
    quality = (total / denominator, tp / denominator) if denominator else (0.0, 0.0)
    return SceneClassScore(quality[0], total / tp if tp else 0.0, quality[1], tp, fp, fn)


def _iou(
    target: Bool[np.ndarray, " n"],
    guess: Bool[np.ndarray, " n"],
    is_void: Bool[np.ndarray, " n"],
    is_unpredicted: Bool[np.ndarray, " n"],
) -> float:
    """What one side leaves void is not held against the other."""
    both = int((target & guess).sum())
    union = int(guess.sum()) - int((guess & is_void).sum()) + int(target.sum()) - int((target & is_unpredicted).sum())
    return both / (union - both)


def _unmatched(ids: np.ndarray, is_own: np.ndarray, found: set[int], is_void: np.ndarray) -> int:
    """Segments without a match, except those of which more than half lies on void of the other side."""
    left = [i for i in np.unique(ids[is_own]).tolist() if i not in found]
    return sum(bool(is_void[is_own & (ids == i)].mean() <= 0.5) for i in left)
