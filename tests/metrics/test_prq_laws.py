"""What must hold of PRQ for any prediction and any ground truth."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from panoptic3d.metrics.evaluation_mask import Frustum
from panoptic3d.metrics.labelled import LabelledVoxels, PixelLabels
from panoptic3d.metrics.panoptic_quality import Truth, score_sample
from panoptic3d.metrics.protocol import Protocol, built_in_protocols, load_protocol
from panoptic3d.metrics.tally import FN, FP, IOU, IOU_ONE, TP, N, Tally, scores_of
from tests.metrics.grids import SHAPE, Volumes, blocks, jittered, pixels_of, seeds, truth_of

names = st.sampled_from(built_in_protocols())
strict = load_protocol("strict")


@given(seeds)
def test_names_of_instances_mean_nothing_in_strict(seed: int) -> None:
    rng = np.random.default_rng(seed)
    volumes = blocks(rng, 10)
    truth, prediction = truth_of(rng, volumes), jittered(rng, volumes).labelled
    ids = np.unique(prediction.instance[prediction.instance > 0])
    new_ids = rng.choice(np.arange(1, 65_536), len(ids), replace=False).astype(np.int32)
    renamed = prediction.instance.copy()
    for old, new in zip(ids, new_ids, strict=True):
        renamed[prediction.instance == old] = new
    before = score_sample(prediction, truth, strict).tally
    after = score_sample(replace(prediction, instance=renamed), truth, strict).tally
    np.testing.assert_array_equal(before.sums, after.sums)


@settings(max_examples=25)
@given(names, seeds)
def test_a_perfect_prediction_gives_one(name: str, seed: int) -> None:
    """Where every target has a voxel of its own, an image that shows them all, and no voxel without a class."""
    rng = np.random.default_rng(seed)
    truth, volumes = _tidy_truth(rng)
    scores = scores_of(score_sample(volumes.labelled, truth, _without_camera(name)).tally, strict.mean_over)
    assert scores.all.prq == scores.all.rsq == scores.all.rrq == 1.0


@settings(max_examples=25)
@given(names, seeds)
def test_a_false_positive_never_raises_a_score(name: str, seed: int) -> None:
    """A new object where nothing was predicted, under the last of all ids, so that no other match can change."""
    rng = np.random.default_rng(seed)
    protocol = load_protocol(name)
    volumes = blocks(rng, 8)
    truth, prediction = truth_of(rng, volumes), blocks(rng, 8)
    before = score_sample(prediction.labelled, truth, protocol).tally
    assume(before.sums[:, N].any())
    free = (prediction.semantic == 0) & (prediction.instance == 0)
    added = free & (rng.random(SHAPE) < 0.01)
    prediction.semantic[added], prediction.instance[added], prediction.distance[added] = 5, 65_000, 0
    score = score_sample(prediction.labelled, truth, protocol)
    is_false = [s.instance_id == 65_000 for s in score.prediction]
    assume(not any(is_false[m.prediction] for m in score.matches))
    for mean_over in ("classes_in_truth", "classes_seen"):
        assert scores_of(score.tally, mean_over).all.prq <= scores_of(before, mean_over).all.prq + 1e-12


@settings(max_examples=25)
@given(names, seeds)
def test_prq_is_bounded_by_its_factors(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    volumes = blocks(rng, 10)
    score = score_sample(jittered(rng, volumes).labelled, truth_of(rng, volumes), load_protocol(name))
    for class_score in scores_of(score.tally, "classes_seen").per_class.values():
        assert 0 <= class_score.prq <= min(class_score.rsq, class_score.rrq) <= 1
        assert class_score.prq == pytest.approx(class_score.rsq * class_score.rrq)
        assert class_score.tp + class_score.fn == class_score.n


@settings(max_examples=25)
@given(names, seeds, st.tuples(*[st.integers(-2, 2)] * 3))
def test_moving_both_sides_changes_nothing_away_from_borders(name: str, seed: int, shift: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    protocol = _without_camera(name)
    small = blocks(rng, 8)
    pixels = pixels_of(rng, small)
    everywhere = Frustum(np.ones(tuple(n + 12 for n in SHAPE), dtype=bool))
    pair = [_padded(volumes, (6, 6, 6)) for volumes in (small, jittered(rng, small))]
    moved = [Volumes(*(np.roll(v, shift, (0, 1, 2)) for v in volumes.triple)) for volumes in pair]
    tallies = [
        score_sample(prediction.labelled, Truth(target.labelled, pixels, everywhere), protocol).tally
        for target, prediction in (pair, moved)
    ]
    np.testing.assert_array_equal(tallies[0].sums, tallies[1].sums)


@settings(max_examples=10)
@given(st.lists(seeds, min_size=1, max_size=6), st.randoms())
def test_neither_order_nor_grouping_changes_a_bit(some_seeds: list[int], random) -> None:
    tallies = []
    for seed in some_seeds:
        rng = np.random.default_rng(seed)
        volumes = blocks(rng, 6)
        tallies.append(score_sample(jittered(rng, volumes).labelled, truth_of(rng, volumes), strict).tally)
    total = Tally.total(tallies)
    shuffled = list(tallies)
    random.shuffle(shuffled)
    middle = len(shuffled) // 2
    regrouped = Tally.total(shuffled[:middle]) + Tally.total(shuffled[middle:])
    np.testing.assert_array_equal(total.sums, regrouped.sums)


def test_means_run_over_the_classes_that_the_protocol_names() -> None:
    """Hand-made: chair 1 of 2 found at IoU 0.8, a bed that is not there, walls perfect."""
    tally = Tally.zero()
    tally.sums[3, [IOU, TP, FN, N]] = [int(0.8 * IOU_ONE), 1, 1, 2]
    tally.sums[2, FP] = 1
    tally.sums[10, [IOU, TP, N]] = [IOU_ONE, 1, 1]
    chair_prq = 0.8 / 1.5
    by_truth, by_seen = (scores_of(tally, mean_over) for mean_over in ("classes_in_truth", "classes_seen"))
    assert by_truth.all.prq == pytest.approx((chair_prq + 1) / 2)
    assert by_seen.all.prq == pytest.approx((chair_prq + 0 + 1) / 3)
    assert (by_seen.things.prq, by_seen.stuff.prq) == (pytest.approx(chair_prq / 2), 1.0)
    assert set(by_truth.per_class) == {2, 3, 10}
    assert by_truth.in_mean == (3, 10)


def test_greedy_depends_on_the_order_and_optimal_does_not() -> None:
    """One target; a small and a large prediction both pass the threshold. Whoever has the lower id wins, or the better."""
    target = Volumes(np.full(SHAPE, 3.0), np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint16))
    target.semantic[2:9, 2:7, 10:50], target.instance[2:9, 2:7, 10:50], target.distance[2:9, 2:7, 10:50] = 3, 1, 0
    everywhere = Frustum(np.ones(SHAPE, dtype=bool))
    truth = Truth(target.labelled, _no_pixels(), everywhere)
    ious = {}
    for small, large in ((1, 2), (2, 1)):
        instance = np.where(target.instance > 0, large, 0).astype(np.uint16)
        instance[:, :, 10:24][target.instance[:, :, 10:24] > 0] = small
        prediction = Volumes(target.distance, target.semantic, instance).labelled
        for name in ("uni3d", "strict"):
            score = score_sample(prediction, truth, load_protocol(name))
            ious[name, small] = score.matches[0].iou
    assert ious["uni3d", 1] < ious["uni3d", 2]
    assert ious["strict", 1] == ious["strict", 2] > ious["uni3d", 1]


def test_nothing_predicted_misses_every_target() -> None:
    rng = np.random.default_rng(0)
    truth, _ = _tidy_truth(rng)
    tally = score_sample(LabelledVoxels.nothing(truth.voxels.shape), truth, strict).tally
    assert tally.sums[:, [IOU, TP, FP]].sum() == 0
    np.testing.assert_array_equal(tally.sums[:, FN], tally.sums[:, N])


def _without_camera(name: str) -> Protocol:
    """BUOL's own camera sees 256 voxels cubed and would see nothing of a grid this small."""
    tree = load_protocol(name).model_dump()
    tree["evaluation_mask"]["back_projection"] = None
    return Protocol.model_validate(tree)


def _no_pixels() -> PixelLabels:
    return PixelLabels(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.int32))


def _padded(volumes: Volumes, margin: tuple[int, int, int]) -> Volumes:
    pad = [(m, m) for m in margin]
    return Volumes(*(np.pad(v, pad) for v in volumes.triple))


def _tidy_truth(rng: np.random.Generator) -> tuple[Truth, Volumes]:
    """Two chairs and a table apart from each other, a wall and a floor, all in view and all at the surface."""
    shape = (40, 30, 80)
    volumes = Volumes(np.full(shape, 3, np.float32), np.zeros(shape, np.uint8), np.zeros(shape, np.uint16))
    parts = [(3, 5), (3, 9), (5, 12), (10, 0), (11, 0)]
    labels = []
    for number, (class_id, instance) in enumerate(parts):
        size = rng.integers(1, 6, 3)
        low = [int(rng.integers(15, 22)), int(rng.integers(12, 20)), 14 * number + 4]
        box = tuple(slice(a, a + int(s)) for a, s in zip(low, size, strict=True))
        volumes.distance[box], volumes.semantic[box], volumes.instance[box] = 0.25, class_id, instance
        labels += [(class_id, instance or 100 + number)] * 300
    segmap = np.array(labels).reshape(30, 50, 2)
    camera_sees = np.ones(shape, dtype=bool)
    return Truth(volumes.labelled, PixelLabels.from_segmap(segmap), Frustum(camera_sees)), volumes
