"""Completion is counted where nobody looks: laws of the seen and the hidden surface on the tiny room."""

from dataclasses import replace

import numpy as np
import pytest

from panoptic3d.metrics.hidden_surface import (
    FOUND,
    HIDDEN,
    RIGHT_CLASS,
    SEEN,
    TRUE,
    View,
    score_of,
    surface_counts,
)
from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.perturbations import moved
from tests.data.conftest import CAMERA, GRID, make_sample

_WALL_M = float((20 - GRID.camera_index[2]) * GRID.voxel_size_m)  # a flat surface at k = 20


def _slab(k: int, semantic: int = 10) -> LabelledVoxels:
    """All voxels of one plane across the view."""
    volume = np.zeros(GRID.shape, bool)
    volume[:, :, k] = True
    index = np.flatnonzero(volume).astype(np.int32)
    zero = np.zeros(len(index), np.int32)
    return LabelledVoxels(GRID.shape, index, zero.astype(np.float32), np.full(len(index), semantic, np.uint8), zero)


@pytest.fixture
def view() -> View:
    return View(GRID, CAMERA, np.full((CAMERA.height, CAMERA.width), _WALL_M, np.float32))


_EVERYWHERE = np.ones(GRID.shape, bool)


def test_what_a_pixel_shows_is_seen_and_what_is_behind_it_is_hidden(view: View) -> None:
    coords = np.stack(np.unravel_index(_slab(0).linear_index, GRID.shape), axis=1)
    in_image = (np.abs(coords[:, 0] - 15) < 5) & (np.abs(coords[:, 1] - 14) < 4)
    for k in (14, 19, 20, 21):
        assert not view.hides(_slab(k))[in_image].any()
    assert view.hides(_slab(24)).all()
    assert view.hides(_slab(8)).any()  # at the borders of the grid, which lie outside of the image


def test_a_perfect_prediction_is_perfect_and_nothing_is_nothing(view: View) -> None:
    assert make_sample().truth is not None
    truth = LabelledVoxels.from_truth(make_sample().truth)
    counts = surface_counts(truth, truth, view, _EVERYWHERE)
    assert counts[:, TRUE].sum() == len(truth)
    for row in (SEEN, HIDDEN):
        assert counts[row, TRUE] > 0
        assert len(set(counts[row].tolist())) == 1
        assert vars(score_of(counts[row])) == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "right_class": 1.0}
    nothing = surface_counts(LabelledVoxels.nothing(GRID.shape), truth, view, _EVERYWHERE)
    assert (nothing[:, TRUE] == counts[:, TRUE]).all()
    assert not nothing[:, FOUND:].any()


def test_a_voxel_off_is_found_and_two_are_not(view: View) -> None:
    truth = _slab(20)
    for step, found in ((1, 1.0), (2, 0.0)):
        counts = surface_counts(moved(truth, (0, 0, step)), truth, view, _EVERYWHERE)
        assert score_of(counts[SEEN]).recall == found


def test_what_is_made_up_behind_the_surface_costs_precision_there_alone(view: View) -> None:
    truth = _slab(20)
    made_up = _slab(26)
    columns = [
        np.concatenate(pair)
        for pair in zip(
            (truth.linear_index, truth.distance_vox, truth.semantic, truth.instance),
            (made_up.linear_index, made_up.distance_vox, made_up.semantic, made_up.instance),
            strict=True,
        )
    ]
    order = np.argsort(columns[0])
    both = LabelledVoxels(GRID.shape, *(column[order] for column in columns))
    counts = surface_counts(both, truth, view, _EVERYWHERE)
    beside, behind = int(view.hides(truth).sum()), int(view.hides(made_up).sum())  # beside: outside of the image
    assert counts[HIDDEN].tolist() == [beside, beside, beside, beside + behind, beside]
    assert score_of(counts[SEEN]).recall == 1.0


def test_what_is_made_up_in_free_space_costs_precision_of_what_is_seen(view: View) -> None:
    floating = _slab(14)
    counts = surface_counts(floating, _slab(20), view, _EVERYWHERE)
    assert counts[SEEN, 3:].tolist() == [len(floating) - int(view.hides(floating).sum()), 0]
    assert counts[SEEN, 3] > 0


def test_a_surface_of_another_class_is_found_and_not_right(view: View) -> None:
    counts = surface_counts(_slab(20, semantic=11), _slab(20), view, _EVERYWHERE)
    assert counts[SEEN, FOUND] == counts[SEEN, TRUE]
    assert counts[SEEN, RIGHT_CLASS] == 0


def test_far_and_unlabelled_voxels_and_those_outside_of_the_mask_do_not_count(view: View) -> None:
    truth = _slab(20)
    far = replace(truth, distance_vox=np.full(len(truth), 1.0, np.float32))
    unlabelled = replace(truth, semantic=np.zeros(len(truth), np.uint8))
    for prediction in (far, unlabelled):
        assert not surface_counts(prediction, truth, view, _EVERYWHERE)[:, FOUND:].any()
    assert not surface_counts(truth, truth, view, ~_EVERYWHERE).any()
