"""The readable twin of `panoptic_quality`: dense volumes, one loop a rule, no cleverness. Tests and the benchmark use it.

It shares the declared protocol and nothing else with the fast path. An image takes it seconds.
"""

from collections.abc import Iterator
from itertools import permutations, product

import numpy as np
from jaxtyping import Bool, Float, Integer

from panoptic3d.metrics.labelled import PixelLabels
from panoptic3d.metrics.protocol import InstanceRule, MatchingRule, Protocol, SegmentRule

Mask = Bool[np.ndarray, "x y z"]
Segment = tuple[int, Mask, bool]  # class, voxels, ignored
Counts = dict[int, dict[str, float]]


def score_by_brute_force(
    prediction: tuple[Float[np.ndarray, "x y z"], Integer[np.ndarray, "x y z"], Integer[np.ndarray, "x y z"]],
    truth: tuple[Float[np.ndarray, "x y z"], Integer[np.ndarray, "x y z"], Integer[np.ndarray, "x y z"]],
    pixels: PixelLabels,
    mask: Mask,
    protocol: Protocol,
) -> Counts | None:
    """Counts of every class that occurs, from camera-aligned distance, class and instance volumes and the evaluation
    mask; None if the protocol skips the sample."""
    selected = _selected(protocol.truth.instances, pixels)
    if protocol.without_instances == "skip" and selected is not None and not selected:
        return None
    targets = list(_final(_segments(*truth, protocol.truth, pixels), truth[0], mask, protocol))
    guesses = list(_final(_segments(*prediction, protocol.prediction, None), prediction[0], mask, protocol))
    iou = np.array([[_iou(t, g) for g in guesses] for t in targets]).reshape(len(targets), len(guesses))
    is_target = np.array([not ignored for _, _, ignored in targets], dtype=bool)
    pairs = _pairs(np.where(is_target[:, None], iou, 0.0), protocol.matching)
    free = np.ones(len(guesses), dtype=bool)
    free[[g for _, g in pairs]] = False
    excused = _pairs(np.where(~is_target[:, None] & free, iou, 0.0), protocol.matching)
    return _count(targets, guesses, pairs, [g for _, g in excused], iou)


def _count(targets: list[Segment], guesses: list[Segment], pairs: list, excused: list[int], iou: np.ndarray) -> Counts:
    counts: Counts = {}

    def add(class_id: int, key: str, value: float = 1) -> None:
        entry = counts.setdefault(class_id, {"iou_sum": 0.0, "tp": 0, "fp": 0, "fn": 0, "n": 0})
        entry[key] += value

    for place, (class_id, _, ignored) in enumerate(targets):
        hits = [iou[t, g] for t, g in pairs if t == place]
        if ignored:
            continue
        add(class_id, "n")
        add(class_id, "tp" if hits else "fn")
        add(class_id, "iou_sum", float(sum(hits)))
    for place, (class_id, _, _) in enumerate(guesses):
        if place not in excused and place not in [g for _, g in pairs]:
            add(class_id, "fp")
    return counts


def _selected(rule: InstanceRule, pixels: PixelLabels | None) -> list[int] | None:
    if rule.by == "all":
        return None
    assert pixels is not None
    chosen = []
    for instance in sorted({int(i) for i in pixels.instance.ravel()} - {0}):
        classes = pixels.semantic[pixels.instance == instance].tolist()
        majority = min(set(classes), key=lambda c: (-classes.count(c), c))
        if rule.by == "pixel_majority":
            if len(classes) > rule.more_than_pixels and majority not in rule.refused_classes:
                chosen.append(instance)
        elif rule.by == "first_pixel":
            if classes[0] in rule.classes:
                chosen.append(instance)
        elif len(classes) >= rule.at_least_pixels:
            chosen.append(instance)
    return chosen[: rule.at_most] if rule.by == "pixel_majority" else chosen


def _segments(
    distance: np.ndarray, semantic: np.ndarray, instance: np.ndarray, rule: SegmentRule, pixels: PixelLabels | None
) -> list[Segment]:
    selected = _selected(rule.instances, pixels)
    things: list[tuple[int, int, Mask, bool]] = []  # instance, class, voxels, ignored
    for instance_id in sorted(set(np.unique(instance).tolist()) - {0}):
        voxels = instance == instance_id
        class_id = _class_of(semantic, voxels, rule)
        is_wanted = selected is None or instance_id in selected
        is_thing = class_id is not None and (rule.thing_classes is None or class_id in rule.thing_classes)
        if is_thing and (is_wanted or rule.instances.by == "visible"):
            assert class_id is not None
            things.append((instance_id, class_id, voxels, not is_wanted))
    of_things = np.any([voxels for _, _, voxels, _ in things], axis=0) if things else np.zeros(semantic.shape, bool)
    stuff: list[tuple[int, int, Mask, bool]] = []
    for class_id in sorted(rule.stuff_classes):
        is_shown = pixels is not None and _is_shown(class_id, rule, pixels)
        if rule.stuff_entries == "visible" and not is_shown and rule.instances.by != "visible":
            continue
        voxels = semantic == class_id
        if rule.overlap == "thing_wins":
            voxels = voxels & ~of_things
        else:
            things = [(i, c, v & ~voxels, ignored) for i, c, v, ignored in things]
        is_ignored = rule.instances.by == "visible" and not is_shown
        if class_id and (voxels.any() or rule.stuff_entries == "always"):
            stuff.append((0, class_id, voxels, is_ignored))
    entries = [entry for entry in things if entry[2].any()] + stuff
    if rule.order == "by_class":
        entries.sort(key=lambda entry: (entry[1], entry[0]))
    return [(class_id, voxels, ignored) for _, class_id, voxels, ignored in entries]


def _is_shown(class_id: int, rule: SegmentRule, pixels: PixelLabels) -> bool:
    if rule.instances.by == "visible":
        return bool((pixels.semantic == class_id).any())
    return any(pixels.semantic[pixels.instance == i][0] == class_id for i in np.unique(pixels.instance))


def _class_of(semantic: np.ndarray, voxels: Mask, rule: SegmentRule) -> int | None:
    if rule.thing_class_by == "first_voxel":
        stored_semantic, stored_voxels = semantic[::-1, ::-1].ravel(), voxels[::-1, ::-1].ravel()
        return int(stored_semantic[np.argmax(stored_voxels)])
    classes, counts = np.unique(semantic[voxels], return_counts=True)
    votes = [(-n, c) for c, n in zip(classes.tolist(), counts.tolist(), strict=True) if c not in rule.majority_without]
    return min(votes)[1] if votes else None


def _final(segments: list[Segment], distance: np.ndarray, mask: Mask, protocol: Protocol) -> Iterator[Segment]:
    """The shell of each segment, grown and masked."""
    is_surface = np.abs(distance.astype(np.float32)) < protocol.surface_iso_vox
    for class_id, voxels, ignored in segments:
        shell = voxels & is_surface
        volume = np.zeros_like(shell)
        for offset in product(*(range(first, last + 1) for first, last in protocol.thickening.ranges)):
            target = tuple(slice(max(0, o), max(0, n + min(0, o))) for o, n in zip(offset, shell.shape, strict=True))
            source = tuple(slice(max(0, -o), max(0, n - max(0, o))) for o, n in zip(offset, shell.shape, strict=True))
            volume[target] |= shell[source]
        volume &= mask
        if volume.any() or protocol.empty_segments == "count":
            yield class_id, volume, ignored


def _iou(target: Segment, guess: Segment) -> float:
    union = np.count_nonzero(target[1] | guess[1])
    return np.count_nonzero(target[1] & guess[1]) / union if union and target[0] == guess[0] else 0.0


def _pairs(iou: np.ndarray, rule: MatchingRule) -> list[tuple[int, int]]:
    if rule.rule == "first_hit":
        pairs: list[tuple[int, int]] = []
        for t in range(iou.shape[0]):
            used = {g for _, g in pairs}
            hits = [g for g in range(iou.shape[1]) if g not in used and iou[t, g] > rule.iou_above]
            pairs += [(t, hits[0])] if hits else []
        return pairs
    rows = [t for t in range(iou.shape[0]) if (iou[t] > rule.iou_above).any()]
    columns = [g for g in range(iou.shape[1]) if (iou[:, g] > rule.iou_above).any()]
    return _best_assignment(iou, rows, columns, rule.iou_above)


def _best_assignment(iou: np.ndarray, rows: list[int], columns: list[int], above: float) -> list[tuple[int, int]]:
    """By trying all, component by component of what can be matched at all."""
    best: list[tuple[int, int]] = []
    for some_rows, some_columns in _components(iou > above, rows, columns):
        choices = [*some_columns, *[-1] * len(some_rows)]
        assert len(some_rows) <= 6, "too many overlapping segments to try every assignment"
        tried = {
            tuple((t, g) for t, g in zip(some_rows, choice, strict=True) if g >= 0 and iou[t, g] > above)
            for choice in permutations(choices, len(some_rows))
        }
        best += max(tried, key=lambda pairs: (sum(iou[t, g] for t, g in pairs), len(pairs)))
    return best


def _components(is_edge: np.ndarray, rows: list[int], columns: list[int]) -> Iterator[tuple[list[int], list[int]]]:
    left = set(rows)
    while left:
        some_rows, some_columns = {min(left)}, set()
        while True:
            reached = {g for g in columns if any(is_edge[t, g] for t in some_rows)}
            back = {t for t in rows if any(is_edge[t, g] for g in reached)}
            if back <= some_rows and reached == some_columns:
                break
            some_rows, some_columns = some_rows | back, reached
        left -= some_rows
        yield sorted(some_rows), sorted(some_columns)
