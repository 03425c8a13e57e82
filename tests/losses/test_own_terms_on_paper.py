"""The terms of our own objective, each on numbers that can be checked by hand."""

import math

import pytest
import torch

from panoptic3d.losses import ray_terms, seed_terms

LN2 = math.log(2)


def test_depth_is_judged_by_its_own_spread() -> None:
    depth, truth = torch.tensor([[2.0, 4.0]]), torch.tensor([[1.0, 4.0]])
    spread = torch.tensor([[LN2, 0.0]])
    # |ln 2| / 2 + ln 2 for the first pixel, 0 + 0 for the second.
    assert float(ray_terms.log_depth_term(depth, spread, truth)) == pytest.approx((LN2 / 2 + LN2) / 2)


def test_pixels_without_depth_do_not_count() -> None:
    depth, truth = torch.tensor([[2.0, 9.0]]), torch.tensor([[1.0, 0.0]])
    assert float(ray_terms.depth_error_term(depth, truth)) == pytest.approx(LN2)
    assert float(ray_terms.depth_error_term(depth, torch.zeros(1, 2))) == 0


def test_slopes_do_not_see_the_scale() -> None:
    truth = torch.rand(12, 16) + 1
    assert float(ray_terms.slope_term(1.3 * truth, truth)) == pytest.approx(0, abs=1e-6)
    bent = truth.clone()
    bent[:, 8:] *= 2
    # Across the fold one, two, four and eight columns of 15, 14, 12 and 8 differ by ln 2.
    expected = LN2 * (1 / 15 + 2 / 14 + 4 / 12 + 8 / 8) / 4
    assert float(ray_terms.slope_term(bent, truth)) == pytest.approx(expected, rel=1e-5)


def test_planes_out_of_sight_do_not_count() -> None:
    logits = torch.tensor([0.0, 50.0])[:, None, None]
    known = torch.tensor([True, False])[:, None, None]
    assert float(ray_terms.plane_term(logits, torch.zeros(2, 1, 1).bool(), known)) == pytest.approx(LN2)


def test_heat_forgives_the_neighbours_of_a_centre() -> None:
    logit = torch.zeros(3)
    heat = torch.tensor([1.0, 0.5, 0.0])
    # probability 1/2: the centre (1/2)^2 ln 2, its neighbour (1/2)^4 (1/2)^2 ln 2, the rest (1/2)^2 ln 2.
    expected = LN2 * (1 / 4 + 1 / 64 + 1 / 4)
    assert float(seed_terms.heat_term(logit, heat, 1)) == pytest.approx(expected)
    assert float(seed_terms.heat_term(logit, heat, 2)) == pytest.approx(expected / 2)


def test_every_thing_has_one_vote_however_large() -> None:
    votes = torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 9, 0], [5, 5, 5]])
    centres = torch.tensor([[0.0, 0, 0], [0, 0, 0]])
    thing = torch.tensor([1, 1, 1, 2, 0])
    assert float(seed_terms.vote_term(votes, centres, thing)) == pytest.approx((1 / 3 + 9 / 3) / 2)


def test_membership_weighs_things_against_the_rest() -> None:
    logits = torch.zeros(4, 3)
    thing = torch.tensor([0, 0, 0, 1])
    assert float(seed_terms.membership_term(logits, thing)) == pytest.approx(2 * math.log(3), rel=1e-6)


def test_distances_near_the_surface_are_dear() -> None:
    guess, truth = torch.tensor([1.0, 3.0]), torch.tensor([0.5, 2.0])
    assert float(seed_terms.weighted_distance_term(guess, truth)) == pytest.approx((4 * 0.5 + 1 * 1.0) / 5)


def test_the_shell_term_is_one_minus_the_overlap() -> None:
    truth = torch.tensor([0.0, 0.0, 3.0, 3.0])
    group = torch.zeros(4, dtype=torch.int64)
    right, half = torch.tensor([-9.0, -9.0, 9.0, 9.0]), torch.tensor([-9.0, 9.0, -9.0, 9.0])
    assert float(seed_terms.shell_term(right, truth, group)) == pytest.approx(0, abs=1e-6)
    assert float(seed_terms.shell_term(half, truth, group)) == pytest.approx(1 - 1 / 3, abs=1e-6)


def test_occupancy_is_judged_row_by_row_and_as_a_whole() -> None:
    logit, target = torch.zeros(4), torch.tensor([True, False, False, False])
    # Dice: 2 * 1/2 / (4 * 1/2 + 1).
    assert float(seed_terms.occupied_term(logit, target)) == pytest.approx(LN2 + 1 - 1 / 3)


def test_nothing_costs_nothing() -> None:
    none, index = torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    assert float(seed_terms.vote_term(torch.zeros(0, 3), torch.zeros(0, 3), index)) == 0
    assert float(seed_terms.membership_term(torch.zeros(0, 1), index)) == 0
    assert float(seed_terms.shell_term(none, none, index)) == 0
    assert float(seed_terms.occupied_term(none, index.bool())) == 0
    assert float(seed_terms.weighted_distance_term(none, none)) == 0
