"""PQ over a scene: one id must mean one object in all views; the published loophole stays shut unless it is asked for."""

import numpy as np
import pytest
from hypothesis import given

from panoptic3d.metrics.scene_quality import scene_quality
from tests.metrics.grids import seeds

A, B = 10, 3  # stuff, thing
_KINDS = {"things": [B], "stuff": [A]}


def _loophole(share_predicted: float, compat: str | None) -> float:
    """60 % of stuff A, 40 % of thing B; B predicted on a share of the pixels, all of them right and far too few."""
    count = 10_000
    truth = np.where(np.arange(count) < 6000, A, B)
    predicted = np.full(count, A)
    predicted[count - round(share_predicted * count) :] = B
    return scene_quality(predicted, np.ones(count, int), truth, np.ones(count, int), **_KINDS, compat=compat).pq


def test_the_loophole_is_shut_and_can_be_opened() -> None:
    """A covers 60 % of the scene and the prediction says A nearly everywhere: about 0.6 for A and nothing for B."""
    for compat in (None, "panoptic_lifting"):
        assert _loophole(0.0, compat) == pytest.approx(0.300, abs=5e-4)
        assert _loophole(0.01, compat) == pytest.approx(0.303, abs=5e-4)
    assert _loophole(0.004, None) == pytest.approx(0.301, abs=5e-4)
    assert _loophole(0.004, "panoptic_lifting") == 1.0


def test_void_on_one_side_is_not_held_against_the_other() -> None:
    true_class = np.array([B] * 10 + [0] * 5 + [A] * 5)
    predicted = np.array([B] * 15 + [A] * 5)
    scores = scene_quality(predicted, np.ones(20, int), true_class, np.ones(20, int), **_KINDS)
    assert scores.pq == 1.0


def test_an_id_that_changes_between_views_costs() -> None:
    truth_ids = np.ones(20, int)
    predicted_ids = np.array([1] * 12 + [2] * 8)  # two views of one chair
    classes = np.full(20, B)
    scores = scene_quality(classes, predicted_ids, classes, truth_ids, **_KINDS).per_class[B]
    assert (scores.tp, scores.fp, scores.fn) == (1, 1, 0)
    assert scores.pq == pytest.approx(0.6 / 1.5)


@given(seeds)
def test_names_of_ids_and_order_of_views_mean_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true_class, predicted = rng.choice([0, A, B], 60), rng.choice([A, B], 60)
    ids, guesses = rng.integers(1, 4, 60), rng.integers(1, 4, 60)
    order = rng.permutation(60)
    before = scene_quality(predicted, guesses, true_class, ids, **_KINDS)
    renamed = np.array([0, 7, 5, 99])[guesses]
    after = scene_quality(predicted[order], renamed[order], true_class[order], ids[order], **_KINDS)
    assert before.pq == pytest.approx(after.pq)


@given(seeds)
def test_torchmetrics_agrees_on_one_view_without_void(seed: int) -> None:
    import torch
    from torchmetrics.functional.detection import panoptic_quality

    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.choice([A, B], 8), 8)
    ids = np.repeat(rng.integers(1, 3, 8), 8)
    is_wrong = rng.random(64) < 0.2
    predicted = np.where(is_wrong, rng.choice([A, B], 64), truth)
    stuffless = [np.where(c == B, i, 0) for c, i in ((truth, ids), (predicted, ids))]
    stack = [torch.from_numpy(np.stack(p, -1))[None] for p in ((predicted, stuffless[1]), (truth, stuffless[0]))]
    theirs = panoptic_quality(stack[0], stack[1], things={B}, stuffs={A}, return_per_class=True)
    ours = scene_quality(predicted, ids, truth, ids, **_KINDS).per_class
    for place, class_id in enumerate((B, A)):
        if class_id in ours:
            assert ours[class_id].pq == pytest.approx(float(theirs[0, place]), abs=1e-6)


def test_torchmetrics_agrees_on_200_scenes_of_several_views_with_void() -> None:
    """True void leaves the list of pixels, as it does here; what the prediction leaves void stays in it for both."""
    import torch
    from torchmetrics.functional.detection import panoptic_quality

    for seed in range(200):
        rng = np.random.default_rng(seed)
        truth, ids = np.repeat(rng.choice([0, A, B], 12), 10), np.repeat(rng.integers(1, 4, 12), 10)
        predicted = np.where(rng.random(120) < 0.3, rng.choice([0, A, B], 120), truth)
        guesses = np.where(rng.random(120) < 0.2, rng.integers(1, 4, 120), ids)
        is_told = truth > 0
        pairs = [(c[is_told], np.where(c == B, i, 0)[is_told]) for c, i in ((predicted, guesses), (truth, ids))]
        stack = [torch.from_numpy(np.stack(pair, -1))[None] for pair in pairs]
        theirs = panoptic_quality(
            *stack, things={B}, stuffs={A}, allow_unknown_preds_category=True, return_per_class=True
        )
        ours = scene_quality(predicted, guesses, truth, ids, **_KINDS).per_class
        for place, class_id in enumerate((B, A)):
            if class_id in ours:
                assert ours[class_id].pq == pytest.approx(float(theirs[0, place]), abs=1e-6), (seed, class_id)
