"""PRQ against what the public reference implementations give: counts exactly, IoU sums and scores within 1e-9."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panoptic3d.metrics.evaluation_mask import Frustum, evaluation_mask
from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.panoptic_quality import SampleScore, Truth, score_sample
from panoptic3d.metrics.protocol import load_protocol
from panoptic3d.metrics.prq_metric import PanopticReconstructionQuality
from panoptic3d.metrics.tally import Tally
from tests.oracle.prq_cases import edited_frame, read_expected

TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def frustum(front3d_root: Path) -> Frustum:
    return Frustum(np.ascontiguousarray(np.load(front3d_root / "frustum_mask.npz")["mask"][::-1, ::-1]))


@pytest.fixture(scope="module")
def scored(case: dict[str, Any], front3d_root: Path, prq_root: Path, frustum: Frustum) -> dict[str, SampleScore]:
    """The case under every protocol."""
    frame = edited_frame(case, front3d_root)
    assert frame.hashes == case["gt_array_sha256_after_edits"]
    truth = Truth.from_stored(frame.geometry, frame.segmentation, frame.segmap, frustum)
    with np.load(prq_root / case["file"]) as file:
        prediction = LabelledVoxels.from_volumes(file["distance_field"], file["semantic"], file["instance"])
    return {mode: score_sample(prediction, truth, load_protocol(mode)) for mode in case["expected"]}


def test_the_evaluation_mask(mode: str, front3d_root: Path, prq_root: Path, frustum: Frustum) -> None:
    expected = read_expected(prq_root)["evaluation_mask"][mode]
    mask = evaluation_mask(frustum.mask, load_protocol(mode).evaluation_mask)
    if expected["orientation"] == "stored orientation":
        mask = mask[::-1, ::-1]
    assert int(mask.sum()) == expected["true_voxels"]
    assert hashlib.sha256(np.packbits(mask)).hexdigest() == expected["sha256_of_packbits"]


def test_a_case(case: dict[str, Any], mode: str, scored: dict[str, SampleScore]) -> None:
    score, expected = scored[mode], case["expected"][mode]
    assert score.is_skipped == expected.get("skipped", False)
    if not score.is_skipped:
        assert [[s.class_id, s.num_voxels] for s in score.truth] == expected["gt_segments"]
        assert [[s.class_id, s.num_voxels] for s in score.prediction] == expected["pred_segments"]
        check_classes(score.tally, expected["per_class"])


@pytest.fixture(scope="module")
def metrics(prq_root: Path, front3d_root: Path, frustum: Frustum) -> dict[str, PanopticReconstructionQuality]:
    """The torchmetrics class of every protocol, updated with every case."""
    expected = read_expected(prq_root)
    metrics = {mode: PanopticReconstructionQuality(mode) for mode in expected["modes"]}
    for case in sorted(expected["cases"], key=lambda case: case["frame"]):
        frame = edited_frame(case, front3d_root)
        truth = Truth.from_stored(frame.geometry, frame.segmentation, frame.segmap, frustum)
        with np.load(prq_root / case["file"]) as file:
            prediction = LabelledVoxels.from_volumes(file["distance_field"], file["semantic"], file["instance"])
        for metric in metrics.values():
            metric.update(prediction, truth)
    return metrics


def test_the_set(mode: str, prq_root: Path, metrics: dict[str, PanopticReconstructionQuality]) -> None:
    expected = read_expected(prq_root)["set_level"][mode]
    metric = metrics[mode]
    check_classes(metric.tally, expected["per_class"])
    for key, value in metric.compute().items():
        if key in expected["mean"]:
            assert float(value) == pytest.approx(expected["mean"][key], abs=TOLERANCE, rel=0)
    assert len(metric.scores().in_mean) == expected["mean"]["n_classes"]


def check_classes(tally: Tally, expected: dict[str, dict[str, Any]]) -> None:
    """Every class of either side; `expected` may carry scores and `in_mean` too."""
    assert {str(class_id) for class_id in tally.seen_classes} == set(expected)
    for class_id, values in expected.items():
        score = tally.score(int(class_id))
        assert {key: getattr(score, key) for key in ("tp", "fp", "fn", "n")} == {
            key: values[key] for key in ("tp", "fp", "fn", "n")
        }
        for key in {"iou_sum", "prq", "rsq", "rrq"} & set(values):
            assert getattr(score, key) == pytest.approx(values[key], abs=TOLERANCE, rel=0)
