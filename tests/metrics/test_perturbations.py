"""Ground truth in place of one part of a prediction repairs that part, and small changes are what they say."""

from dataclasses import replace

import numpy as np
import pytest

from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.panoptic_quality import score_sample
from panoptic3d.metrics.perturbations import CHANGES, moved, thickened, with_oracle, with_reversed_ids
from panoptic3d.metrics.protocol import load_protocol
from panoptic3d.metrics.tally import scores_of
from tests.metrics.grids import blocks, truth_of
from tests.metrics.test_prq_laws import _tidy_truth

strict = load_protocol("strict")


def _prq(prediction: LabelledVoxels, truth) -> float:
    return scores_of(score_sample(prediction, truth, strict).tally, "classes_seen").all.prq


def test_semantics_repairs_a_wrong_class() -> None:
    truth, _ = _tidy_truth(np.random.default_rng(1))
    wrong = replace(
        truth.voxels, semantic=np.where(truth.voxels.semantic == 3, 4, truth.voxels.semantic).astype(np.uint8)
    )
    assert _prq(wrong, truth) < 1
    assert _prq(with_oracle(wrong, truth.voxels, "semantics"), truth) == 1


def test_masks_repairs_labels_and_geometry_repairs_surfaces() -> None:
    truth, _ = _tidy_truth(np.random.default_rng(2))
    merged = replace(truth.voxels, instance=np.minimum(truth.voxels.instance, 5))
    assert _prq(merged, truth) < 1
    assert _prq(with_oracle(merged, truth.voxels, "masks"), truth) == 1
    shifted = moved(truth.voxels, (0, 1, 0))
    assert _prq(shifted, truth) < 1
    assert _prq(with_oracle(shifted, truth.voxels, "geometry"), truth) == 1


def test_layout_repairs_stuff_alone() -> None:
    truth, _ = _tidy_truth(np.random.default_rng(3))
    things_only = truth.voxels.where(truth.voxels.instance > 0)
    missing_chair = things_only.where(things_only.instance != 5)
    repaired = score_sample(with_oracle(missing_chair, truth.voxels, "layout"), truth, strict).tally
    assert [repaired.score(c).prq for c in (10, 11)] == [1, 1]
    assert repaired.score(3).fn == 1


def test_nothing_stays_nothing() -> None:
    truth, _ = _tidy_truth(np.random.default_rng(4))
    nothing = LabelledVoxels.nothing(truth.voxels.shape)
    assert len(with_oracle(nothing, truth.voxels, "geometry")) == 0


def test_moves_are_undone_by_their_opposites() -> None:
    truth, _ = _tidy_truth(np.random.default_rng(5))
    back = moved(moved(truth.voxels, (1, 0, -2)), (-1, 0, 2))
    np.testing.assert_array_equal(back.linear_index, truth.voxels.linear_index)
    assert len(moved(truth.voxels, (100, 0, 0))) == 0


def test_a_higher_iso_means_a_thicker_shell() -> None:
    voxels = blocks(np.random.default_rng(0), 8).labelled
    sizes = [(thickened(voxels, step).distance_vox < 1).sum() for step in (-0.25, 0.0, 0.25)]
    assert sizes[0] <= sizes[1] <= sizes[2]


def test_reversing_ids_twice_changes_no_score() -> None:
    rng = np.random.default_rng(6)
    volumes = blocks(rng, 10)
    truth = truth_of(rng, volumes)
    twice = with_reversed_ids(with_reversed_ids(volumes.labelled))
    assert _prq(twice, truth) == _prq(volumes.labelled, truth)


@pytest.mark.parametrize("name", ["panorecon", "buol", "strict-visible"])
def test_every_change_can_be_scored_and_has_a_name_of_its_own(name: str) -> None:
    rng = np.random.default_rng(7)
    volumes = blocks(rng, 10)
    truth, protocol = truth_of(rng, volumes), load_protocol(name)
    assert len({change.name for change in CHANGES}) == len(CHANGES)
    for change in CHANGES:
        score_sample(change.of_prediction(volumes.labelled), truth, change.of_protocol(protocol))
