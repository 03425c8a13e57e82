"""Holes are filled without a seam, by the other map's relief, and nothing else changes."""

import torch

from panoptic3d.geometry.hole_filling import filled, screened


def _maps() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    v, u = torch.meshgrid(torch.linspace(0, 1, 40), torch.linspace(0, 1, 50), indexing="ij")
    other = 2 + u + 0.2 * torch.sin(20 * v)
    given = other * (1.3 + 0.1 * u)
    hole = (((u - 0.5) ** 2 + (v - 0.5) ** 2) > 0.04) & (v > 0.1)  # a disk, and a border without values
    return given, hole, other


def test_what_is_measured_stays_to_the_bit() -> None:
    given, is_measured, other = _maps()
    made = filled(given, is_measured, other)
    assert torch.equal(made[is_measured], given[is_measured])
    assert torch.equal(filled(given, torch.ones_like(is_measured), other), given)
    assert torch.equal(filled(given, torch.zeros_like(is_measured), other), other)


def test_a_hole_meets_its_rim_and_keeps_the_relief_of_the_other_map() -> None:
    given, is_measured, other = _maps()
    made = filled(given, is_measured, other)
    factor = (made / other).log()
    steps = torch.cat((factor.diff(dim=0).abs().flatten(), factor.diff(dim=1).abs().flatten()))
    assert float(steps.max()) < 0.02  # the factor itself rises by 0.002 a pixel; a plain paste steps by 0.3
    assert float((made / given).log().abs().max()) < 0.03


def test_the_continuation_solves_its_equation() -> None:
    """At an open pixel the factor is the mean of its neighbours', drawn to 0 by 1 / reach^2."""
    torch.manual_seed(0)
    known = torch.rand(12, 14, dtype=torch.float64) < 0.3
    values = torch.where(known, torch.randn(12, 14, dtype=torch.float64), 0.0)
    x = screened(values, known, reach_px=5.0)
    inner = x[1:-1, 1:-1]
    around = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]
    error = torch.where(known[1:-1, 1:-1], 0.0, (4 + 1 / 25) * inner - around)
    assert float(error.abs().max()) < 1e-3
    assert torch.equal(x[known], values[known])


def test_a_wrong_pixel_at_the_rim_is_not_carried_into_the_hole() -> None:
    given, is_measured, other = _maps()
    made = filled(given, is_measured, other)
    row, column = 20, int((~is_measured[20]).nonzero()[0, 0]) - 1
    spoiled = given.clone()
    spoiled[row, column] *= 4
    assert float((filled(spoiled, is_measured, other) / made).log()[~is_measured].abs().max()) < 0.02
