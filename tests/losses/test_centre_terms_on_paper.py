"""Every term of BUOL's objective against numbers worked out by hand."""

import math

import pytest
import torch

from panoptic3d.losses.centre_terms import heat_term, offset_term, plane_term, voxel_offset_term, weighted_class_term
from panoptic3d.losses.depth_terms import depth_terms


def test_classes_are_a_mean_by_weight() -> None:
    logits = torch.zeros(2, 1, 2)
    logits[1, 0, 0] = math.log(3)  # probabilities 1/4, 3/4; the other pixel 1/2, 1/2
    term = weighted_class_term(logits, torch.tensor([[1, 0]]), torch.tensor([[3.0, 1.0]]))
    assert float(term) == pytest.approx((3 * math.log(4 / 3) + math.log(2)) / 4, rel=1e-6)


def test_heat_counts_where_it_is_asked_for() -> None:
    heat, wanted = torch.tensor([0.5, 0.9, 0.0]), torch.tensor([0.0, 0.0, 1.0])
    assert float(heat_term(heat, wanted, torch.tensor([True, False, True]))) == pytest.approx(
        (0.25 + 1.0) / 2, rel=1e-6
    )
    assert float(heat_term(heat, wanted)) == pytest.approx((0.25 + 0.81 + 1.0) / 3, rel=1e-6)
    assert float(heat_term(heat, wanted, torch.zeros(3, dtype=torch.bool))) == 0.0


def test_offsets_are_a_mean_over_both_channels() -> None:
    offsets = torch.tensor([[[1.0, 9.0]], [[-2.0, 9.0]]])
    term = offset_term(offsets, torch.zeros(2, 1, 2), torch.tensor([[True, False]]))
    assert float(term) == pytest.approx((1 + 2) / 2, rel=1e-6)


def test_offsets_of_voxels_count_where_they_point_anywhere() -> None:
    wanted = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    term = voxel_offset_term(torch.tensor([[0.0, 2.0, -1.0], [5.0, 5.0, 5.0]]), wanted)
    assert float(term) == pytest.approx(1 + 2 + 1, rel=1e-6)
    assert float(voxel_offset_term(torch.ones(2, 3), torch.zeros(2, 3))) == 0.0


def test_planes_are_divided_by_pixels() -> None:
    logits = torch.zeros(2, 1, 2)
    occupied = torch.tensor([[[True, True]], [[False, True]]])
    asked = torch.tensor([[[True, True]], [[True, False]]])
    term = plane_term(logits, occupied, asked, torch.tensor([[True, False]]))
    assert float(term) == pytest.approx(2 * math.log(2), rel=1e-6)
    sure = plane_term(
        torch.full((1, 1, 1), -500.0), torch.ones(1, 1, 1).bool(), torch.ones(1, 1, 1).bool(), torch.ones(1, 1).bool()
    )
    assert float(sure) == pytest.approx(100.0)


def test_depth_is_off_by_ln_2_from_the_reference() -> None:
    """A flat wall half a metre too far: ln(0.5 + 0.5) = 0, and the method adds ln 2."""
    terms = depth_terms(torch.full((1, 3, 3), 2.5), torch.full((1, 3, 3), 2.0))
    assert float(terms["depth"]) == pytest.approx(0.0, abs=1e-6)
