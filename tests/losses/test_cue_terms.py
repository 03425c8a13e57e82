"""What a cue costs: nothing for what it cannot tell, more than a flat guess for a mirrored scene."""

import pytest
import torch

from panoptic3d.losses.cue_terms import cue_error, cue_slope_term, cue_term, normal_term
from panoptic3d.structures.given_depth import DepthKind


def _depth() -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return 1 + 3 * torch.rand(12, 15, generator=draw, dtype=torch.float64)


def _cost(depth: torch.Tensor, cue: torch.Tensor, known: torch.Tensor, kind: DepthKind) -> torch.Tensor:
    error = cue_error(depth, cue, known, kind)
    return cue_term(error, known) + cue_slope_term(error, known)


KINDS = {
    "metric": lambda d: d,
    "scale": lambda d: 3.7 * d,
    "affine": lambda d: 0.2 * d + 4.0,
    "disparity": lambda d: 5.0 / d - 0.3,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_kind_cannot_tell_costs_nothing_and_anything_else_does(kind: DepthKind) -> None:
    depth, known = _depth(), torch.rand(12, 15, generator=torch.Generator().manual_seed(1)) < 0.8
    cue = torch.where(known, KINDS[kind](depth), float("nan"))
    assert float(_cost(depth, cue, known, kind)) < 1e-9
    assert float(_cost(depth.roll(1, 1), cue, known, kind)) > 0.1


@pytest.mark.parametrize("kind", ["affine", "disparity"])
def test_a_mirrored_scene_costs_more_than_a_flat_one(kind: DepthKind) -> None:
    depth, known = _depth(), torch.ones(12, 15, dtype=torch.bool)
    cue = KINDS[kind](depth)
    mirrored = cue.max() + cue.min() - cue
    flat = torch.full_like(depth, 2.0)
    assert float(_cost(depth, mirrored, known, kind)) > float(_cost(flat, cue, known, kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_known_pixels_and_constants_stay_finite(kind: DepthKind, count: int) -> None:
    depth, known = _depth().requires_grad_(True), torch.zeros(12, 15, dtype=torch.bool)
    known.view(-1)[:count] = True
    for cue in (
        torch.full((12, 15), 2.0, dtype=torch.float64),
        torch.full((12, 15), float("nan"), dtype=torch.float64),
    ):
        cost = _cost(depth, torch.where(known, torch.nan_to_num(cue, 2.0), cue), known, kind)
        (gradient,) = torch.autograd.grad(cost, depth)
        assert bool(cost.isfinite())
        assert bool(gradient.isfinite().all())
        assert bool((gradient[~known] == 0).all())


@pytest.mark.parametrize("kind", ["scale", "affine", "disparity"])
def test_gradients(kind: DepthKind) -> None:
    known = torch.rand(4, 5, generator=torch.Generator().manual_seed(2)) < 0.9
    depth = _depth()[:4, :5].clone().requires_grad_(True)
    cue = KINDS[kind](_depth()[4:8, :5])

    def smooth(values: torch.Tensor) -> torch.Tensor:
        return cue_error(values, cue, known, kind).square().sum()

    assert torch.autograd.gradcheck(smooth, (depth,))


def test_the_unit_of_a_cue_does_not_change_its_weight() -> None:
    depth, known = _depth(), torch.ones(12, 15, dtype=torch.bool)
    cue = depth.roll(1, 0)
    costs = [float(_cost(depth, factor * cue, known, "affine")) for factor in (0.01, 1.0, 50.0)]
    assert max(costs) - min(costs) < 1e-9


def test_neighbours_are_pixels_beside_each_other_and_both_known() -> None:
    """By hand: one step of height 1 in the middle of four columns; a hole beside it takes the pairs across away."""
    error = torch.tensor([[0.0, 0.0, 1.0, 1.0]], dtype=torch.float64).expand(1, 4)
    known = torch.ones(1, 4, dtype=torch.bool)
    assert float(cue_slope_term(error, known)) == pytest.approx((1 / 3 + 2 / 2) / 4)
    known[0, 2] = False
    assert float(cue_slope_term(error, known)) == pytest.approx((0 / 1 + 1 / 1) / 4)


def test_normals_cost_their_l1_and_their_cosine() -> None:
    up, ahead = torch.tensor([0.0, -1.0, 0.0]), torch.tensor([0.0, 0.0, -1.0])
    known = torch.tensor([[True, False]])
    one = up.expand(1, 2, 3)
    assert float(normal_term(one, one, known)) == 0.0
    assert float(normal_term(one, ahead.expand(1, 2, 3), known)) == pytest.approx(2.0 + 1.0)
    assert float(normal_term(one, -one, torch.zeros_like(known))) == 0.0
