"""Every term of the objective on an example that is small enough for paper."""

import math

import pytest
import torch

from panoptic3d.losses.depth_terms import depth_terms, sobel
from panoptic3d.losses.detection_matching import AnchorMatchingConfig, RoiMatchingConfig, match_boxes, sampled
from panoptic3d.losses.detection_terms import (
    anchor_box_term,
    mask_targets,
    objectness_term,
    roi_box_term,
    roi_class_term,
    roi_mask_term,
)
from panoptic3d.losses.voxel_objective import (
    FAITHFUL_OBJECTIVE,
    CurriculumConfig,
    VoxelObjectiveConfig,
    VoxelTargets,
    finest_stride,
    voxel_terms,
)
from panoptic3d.losses.voxel_terms import class_term, distance_term, occupancy_term, occupancy_term_averaged_first
from panoptic3d.structures.prediction import LabelledLevel, SurfaceLevel
from panoptic3d.structures.sparse_voxels import SparseVoxels

LN2 = math.log(2)


def near(value: torch.Tensor, expected: float) -> bool:
    return value.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_depth_half_a_metre_off_everywhere() -> None:
    """ln(0.5 + 0.5) = 0; a constant has no slope but at the border, where zeros begin."""
    truth = torch.full((1, 3, 3), 2.0)
    terms = depth_terms(truth + 0.5, truth)
    assert near(terms["depth"], 0.0)
    # |slope difference| across: 0 in the middle column, 0.5 * (3, 4, 3) in the outer ones.
    across = (3 * math.log(0.5) + 4 * math.log(1.5 + 0.5) + 2 * math.log(2.0 + 0.5)) / 9
    assert near(terms["depth_gradient"], 2 * across)


def test_depth_without_truth_does_not_count() -> None:
    truth = torch.tensor([[[2.0, 0.0]]])
    terms = depth_terms(torch.tensor([[[2.5, 77.0]]]), truth)
    assert near(terms["depth"], 0.0)
    nothing = depth_terms(torch.ones(1, 2, 2), torch.zeros(1, 2, 2))
    assert [v.item() for v in nothing.values()] == [0, 0, 0]


def test_normals_of_a_slope_against_a_wall() -> None:
    """In the middle of a ramp of 1/8 a pixel the kernel answers -1 across: 45 degrees from the wall's normal."""
    ramp = torch.arange(5.0).expand(5, 5) / 8
    assert sobel(ramp[None])[0, :, 2, 2].tolist() == [-1, 0]
    truth = torch.zeros(1, 5, 5)
    truth[0, 2, 2] = 1e-30  # only this pixel has truth, and its slope is nothing
    assert near(depth_terms(ramp[None], truth)["depth_normal"], 1 - math.cos(math.pi / 4))


def test_objectness_of_an_undecided_network() -> None:
    assert near(objectness_term(torch.zeros(1), torch.zeros(3)), LN2)
    assert near(objectness_term(torch.zeros(0), torch.zeros(0)), 0)


def test_anchor_boxes() -> None:
    """Beta 1/9: 0.5 is beyond (0.5 - 1/18), 0.1 within (0.1^2 * 9 / 2); divided by 4 sampled."""
    code = torch.tensor([[0.5, 0.1, 0.0, 0.0]])
    assert near(anchor_box_term(code, torch.zeros(1, 4), 4), (0.5 - 1 / 18 + 0.045) / 4)


def test_roi_classes_with_and_without_weights() -> None:
    logits, labels = torch.tensor([[0.0, 0.0], [LN2, 0.0]]), torch.tensor([1, 0])
    assert near(roi_class_term(logits, labels, None), (LN2 + math.log(1.5)) / 2)
    # Background weighs 0.001 in the reference, and the mean is over weights.
    weights = torch.tensor([0.001, 1.0])
    assert near(roi_class_term(logits, labels, weights), (LN2 + 0.001 * math.log(1.5)) / 1.001)
    assert near(roi_class_term(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), None), 0)


def test_roi_boxes_use_the_code_of_their_class() -> None:
    codes = torch.zeros(2, 3 * 4)
    codes[0, 8:12] = torch.tensor([2.0, 0.5, 0.0, 0.0])  # class 2
    labels = torch.tensor([2, 0])
    assert near(roi_box_term(codes, labels, torch.zeros(1, 4)), (1.5 + 0.125) / 2)


def test_roi_masks() -> None:
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 1, 0, 0] = 100.0
    truth = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    assert near(roi_mask_term(logits, torch.tensor([1]), truth), 3 * LN2 / 4)
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[:, :, :4] = True
    assert mask_targets(mask, torch.tensor([[0.2, 0.0, 6.9, 7.0]]), 2)[0].tolist() == [[1, 0], [1, 0]]
    assert mask_targets(mask, torch.tensor([[9.0, 9.0, 5.0, 5.0]]), 2).shape == (1, 2, 2)


def test_matching_anchors() -> None:
    truth = torch.tensor([[0.0, 0, 9, 9], [40.0, 40, 49, 49]])
    boxes = torch.tensor([[0.0, 0, 9, 9], [0.0, 0, 9, 19], [40.0, 40, 44, 44], [90.0, 90, 99, 99]])
    matches = match_boxes(boxes, truth, AnchorMatchingConfig())  # overlaps 1, 1/2, 1/4 (the best of its truth), 0
    assert matches.truth[:3].tolist() == [0, 0, 1]
    assert matches.is_positive.tolist() == [True, False, True, False]
    assert matches.is_negative.tolist() == [False, False, False, True]
    rois = match_boxes(boxes, truth, RoiMatchingConfig())
    assert rois.is_positive.tolist() == [True, True, False, False]
    assert rois.is_negative.tolist() == [False, False, True, True]
    assert match_boxes(boxes, truth[:0], RoiMatchingConfig()).is_negative.all()


def test_samples_are_bounded_and_reproducible() -> None:
    truth = torch.tensor([[0.0, 0, 9, 9]])
    boxes = torch.cat((truth.expand(300, 4), truth.expand(900, 4) + 50))
    matches = match_boxes(boxes, truth, RoiMatchingConfig())
    eligible = torch.ones(1200, dtype=torch.bool)
    first, second = (
        sampled(matches, eligible, RoiMatchingConfig(), torch.Generator().manual_seed(4)) for _ in range(2)
    )
    assert [len(rows) for rows in first] == [128, 384]
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    few = sampled(matches, eligible & (torch.arange(1200) < 10), RoiMatchingConfig(), torch.Generator().manual_seed(4))
    assert [len(rows) for rows in few] == [10, 0]


def test_occupancy_row_by_row_and_averaged_first() -> None:
    """Undecided (ln 2) with weight 1, and sure and wrong (20) with weight 3."""
    logit, truth, weight = torch.tensor([0.0, 20.0]), torch.tensor([True, False]), torch.tensor([1.0, 3.0])
    assert near(occupancy_term(logit, truth, weight), (LN2 + 60) / 2)
    assert near(occupancy_term_averaged_first(logit, truth, weight), (LN2 + 20) / 2 * 2)


def test_classes_are_not_divided_by_their_weights() -> None:
    logits, labels = torch.zeros(2, 2), torch.tensor([0, 1])
    term = class_term(logits, labels, torch.tensor([1.0, 5.0]), torch.tensor([0.05, 2.0]))
    assert near(term, (0.05 + 10) * LN2 / 2)


def test_distance_is_clamped_and_pulls_only_inside() -> None:
    distance = torch.tensor([-1.0, 1.0, 7.0], requires_grad=True)
    term = distance_term(distance, torch.tensor([0.5, 0.5, 1.0]), torch.tensor([1.0, 2.0, 1.0]), 3.0)
    assert near(term, (0.5 + 1.0 + 2.0) / 3)
    (grad,) = torch.autograd.grad(term, distance)
    assert grad.tolist() == pytest.approx([0, 2 / 3, 0])


def one_voxel_level(stride: int) -> tuple[LabelledLevel, VoxelTargets]:
    """One voxel that every head is undecided about: wall, instance 1, weight 2, asked next to an empty one of weight 1."""
    size = 4 // stride
    asked = SparseVoxels(torch.tensor([[0, 0, 0, 0], [0, 0, 0, size - 1]], dtype=torch.int32), 1, (size,) * 3, stride)
    if size == 1:
        asked = SparseVoxels(asked.coords[:1], 1, asked.shape, stride)
    kept = SparseVoxels(asked.coords[:1], 1, asked.shape, stride)
    level = LabelledLevel(
        candidates=asked,
        occupancy_logit=torch.zeros(len(asked)),
        voxels=kept,
        is_kept=torch.ones(len(asked), dtype=torch.bool),
        semantic_logits=torch.zeros(1, 13),
        instance_logits=torch.zeros(1, 16),
    )
    if stride == 1:
        level = SurfaceLevel(**vars(level), distance_vox=torch.tensor([1.0]))
    shape = (1, size, size, size)
    weight = torch.ones(shape)
    weight[0, 0, 0, 0] = 2.0
    target = VoxelTargets(
        occupancy=torch.zeros(shape, dtype=torch.bool),
        semantic=torch.full(shape, 10),
        instance=torch.ones(shape, dtype=torch.int64),
        weight=weight,
        distance_vox=torch.zeros(shape) if stride == 1 else None,
    )
    return level, target


@pytest.mark.parametrize("mode", ["faithful", "corrected"])
def test_the_weights_of_every_level(mode: str) -> None:
    pairs = [one_voxel_level(stride) for stride in (4, 2, 1)]
    config = VoxelObjectiveConfig.model_validate(FAITHFUL_OBJECTIVE if mode == "faithful" else {})
    terms = voxel_terms(tuple(p for p, _ in pairs), tuple(t for _, t in pairs), config)
    wall, semantic_256 = 1.7803661289, 25 if mode == "faithful" else 5
    expected = {
        "occupancy_64": 50 * 2 * LN2,
        "occupancy_128": 25 * 1.5 * LN2,
        "occupancy_256": 10 * 1.5 * LN2,  # both ways alike, as both rows are undecided
        **{f"instance3d{s}": 25 * 2 * math.log(16) for s in ("_64", "_128", "")},
        **{f"semantic3d{s}": 5 * 2 * wall * math.log(13) for s in ("_64", "_128")},
        "semantic3d": semantic_256 * 2 * wall * math.log(13),
        "geometry": 5 * 2 * 1.0,
    }
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-5)


def test_the_curriculum_is_a_function_of_the_step() -> None:
    config = CurriculumConfig()
    steps = (0, 9_999, 10_000, 14_999, 15_000, 300_000)
    assert [finest_stride(step, config) for step in steps] == [4, 4, 2, 2, 1, 1]
    assert finest_stride(0, CurriculumConfig(steps_64=0, steps_128=0)) == 1
    late = CurriculumConfig(begins_at=500_000, steps_64=10)
    assert [finest_stride(step, late) for step in (500_009, 500_010)] == [4, 2]
