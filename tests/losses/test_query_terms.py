"""Every term of the queries on an example that is small enough for paper, and the matching against all permutations."""

import math
from itertools import permutations

import pytest
import torch

from panoptic3d.losses.query_matching import QueryMatchingConfig, assigned, matching_cost
from panoptic3d.losses.query_terms import (
    dice_term,
    grid_points,
    mask_term,
    query_class_term,
    query_voxel_term,
    read_points,
    segment_depth_term,
    uncertain_points,
)

LN2, LN3 = math.log(2), math.log(3)


def test_points_are_read_between_borders() -> None:
    """A map of two columns: its left half says 0, its right half 1, and between the centres it is mixed."""
    map_ = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
    points = torch.tensor([[[0.25, 0.5], [0.5, 0.5], [0.75, 0.5], [1.0, 0.25]]])
    # On the border half of what is read lies outside, where everything is zero.
    torch.testing.assert_close(read_points(map_, points), torch.tensor([[0.0, 0.5, 1.0, 0.5]]))


def test_the_grid_of_points() -> None:
    expected = torch.tensor([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]])
    torch.testing.assert_close(grid_points(4), expected)
    assert len(grid_points(12_544)) == 112**2


def test_uncertain_points_lie_where_the_mask_ends() -> None:
    """Logits grow away from the middle column; three of four points are the least sure of three times as many."""
    logits = (torch.arange(64.0) - 31.5).expand(1, 64, 64)
    points = uncertain_points(logits, 1000, 3.0, 0.75, torch.Generator().manual_seed(0))
    assert points.shape == (1, 1000, 2)
    from_the_end = (points[0, :, 0] - 0.5).abs()
    # A quarter of all that were drawn lie within 1/8; on the border of the map everything fades to the zeros outside.
    assert (from_the_end[:750] < 0.15).float().mean() > 0.95
    assert from_the_end[750:].max() > 0.4
    assert uncertain_points(logits[:0], 10, 3.0, 0.75, torch.Generator()).shape == (0, 10, 2)


def test_classes_are_weighed_and_normalised() -> None:
    """One query sees its class with probability 1/2, another "nothing" with 1/3; nothing weighs a tenth."""
    logits = torch.tensor([[LN2, 0.0, 0.0], [0.0, 0.0, 0.0]])
    expected = (1.0 * LN2 + 0.1 * LN3) / 1.1
    assert float(query_class_term(logits, torch.tensor([0, 2]), 0.1)) == pytest.approx(expected)


def test_masks_and_dice() -> None:
    """Logit 0 is a mask of one half. Four points, of which one lies inside; and a second pair that is sure and right."""
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [50.0, -50.0, -50.0, -50.0]])
    inside = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    assert float(mask_term(logits, inside)) == pytest.approx(LN2)
    # 1 - (2 * 1/2 + 1) / (4 * 1/2 + 1 + 1), and 1 - (2 + 1) / (1 + 1 + 1)
    assert float(dice_term(logits, inside)) == pytest.approx(0.5 + 0.0)
    nothing = torch.zeros(0, 4)
    assert float(mask_term(nothing, nothing)) == 0
    assert float(dice_term(nothing, nothing)) == 0


def test_depth_of_a_segment() -> None:
    """Twice as far in one pixel, exact in another, not measured in a third."""
    depth = torch.tensor([[[4.0, 3.0, 1.0]]])
    truth = torch.tensor([[[2.0, 3.0, 0.0]]])
    spread = LN2**2 / 2 - LN2**2 / 4
    assert float(segment_depth_term(depth, truth)) == pytest.approx(spread + math.sqrt(0.5))


def test_depth_that_is_perfect_or_nowhere_measured_has_a_finite_gradient() -> None:
    for truth in (torch.full((1, 2, 2), 3.0), torch.zeros(1, 2, 2)):
        depth = torch.full((1, 2, 2), 3.0, requires_grad=True)
        term = segment_depth_term(depth, truth)
        term.backward()
        assert float(term.detach()) == 0
        assert depth.grad is not None
        assert depth.grad.isfinite().all()


def test_voxels_of_queries() -> None:
    """Two voxels with weights 1 and 3, one query that is undecided about both: ln 2 times the mean weight."""
    logits, inside = torch.zeros(2, 1), torch.tensor([[True], [False]])
    assert float(query_voxel_term(logits, inside, torch.tensor([1.0, 3.0]))) == pytest.approx(2 * LN2)
    assert float(query_voxel_term(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.bool), torch.zeros(0))) == 0


def test_the_cost_of_a_pair() -> None:
    """Probability 1/2 of the class, a mask of one half over four points of which one is inside."""
    logits = torch.tensor([[0.0, 0.0]])
    inside = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    cost = matching_cost(logits, torch.zeros(1, 4), torch.tensor([0]), inside, QueryMatchingConfig())
    assert float(cost) == pytest.approx(5 * LN2 - 2 * 0.5 + 5 * 0.5)


@pytest.mark.parametrize("seed", range(8))
def test_the_matching_costs_least_of_all(seed: int) -> None:
    cost = torch.rand(6, 4, generator=torch.Generator().manual_seed(seed))
    queries, targets = assigned(cost)
    assert targets.tolist() == [0, 1, 2, 3]
    least = min(sum(float(cost[q, t]) for t, q in enumerate(chosen)) for chosen in permutations(range(6), 4))
    assert float(cost[queries, targets].sum()) == pytest.approx(least)


def test_more_targets_than_queries_and_costs_that_are_none() -> None:
    cost = torch.tensor([[1.0, 0.0, 5.0], [0.0, math.nan, math.inf]])
    queries, targets = assigned(cost)
    assert (queries.tolist(), targets.tolist()) == ([1, 0], [0, 1])
    empty = assigned(torch.zeros(5, 0))
    assert (len(empty[0]), len(empty[1])) == (0, 0)
