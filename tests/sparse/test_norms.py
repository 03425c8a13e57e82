"""Norms against the formula, and on as many rows as a real frame has."""

import pytest
import torch

from panoptic3d.sparse.norms import batch_norm


@pytest.mark.parametrize("count", [1, 255, 256, 20_000])
@pytest.mark.parametrize("is_affine", [True, False])
def test_norm_twin(count: int, is_affine: bool) -> None:
    torch.manual_seed(count)
    rows = torch.randn(count, 3, dtype=torch.float64, requires_grad=True)
    weight, bias = (torch.randn(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    plain = (rows - rows.mean(0)) / (rows.var(0, correction=0) + 1e-2).sqrt()
    if is_affine:
        ours, plain = batch_norm(rows, weight, bias, 1e-2), plain * weight + bias
    else:
        ours = batch_norm(rows, None, None, 1e-2)
    torch.testing.assert_close(ours, plain)
    with torch.no_grad():
        affine = (weight, bias) if is_affine else (None, None)
        torch.testing.assert_close(batch_norm(rows, *affine, 1e-2), ours)
    grad = torch.randn_like(rows)
    inputs = (rows, weight, bias) if is_affine else (rows,)
    found, expected = (torch.autograd.grad(result, inputs, grad) for result in (ours, plain))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_half_a_million_rows_are_summed_exactly_enough() -> None:
    """Adding one row after the other in float32 is off by percents here."""
    rows = torch.full((500_000, 2), 0.3)
    rows[:1000] = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    normal = batch_norm(rows, torch.ones(2), torch.zeros(2), 1e-8)
    assert normal.double().mean(0).abs().max() < 1e-4
    assert len(batch_norm(rows[:0])) == 0
