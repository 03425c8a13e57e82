"""Scale and shift in closed form: least squares as numpy has it, and what must not come out of it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from panoptic3d.geometry.affine_depth import (
    affine_fit,
    median_log_ratio,
    robust_affine_fit,
    scale_fit,
    upright_fit,
)


def _draw(seed: int, n: int = 60) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    source = 1 + 4 * torch.rand(n, generator=draw, dtype=torch.float64)
    target = 0.7 * source + 0.3 + 0.1 * torch.randn(n, generator=draw, dtype=torch.float64)
    return source, target, torch.rand(n, generator=draw, dtype=torch.float64)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_the_fit_is_that_of_numpy(seed: int) -> None:
    source, target, weight = _draw(seed)
    root = weight.sqrt().numpy()
    matrix = np.stack((source.numpy() * root, root), axis=1)
    expected = np.linalg.lstsq(matrix, target.numpy() * root, rcond=None)[0]
    fit = affine_fit(source, target, weight)
    np.testing.assert_allclose([float(fit.scale), float(fit.shift)], expected, rtol=0, atol=1e-10)
    alone = np.linalg.lstsq(matrix[:, :1], target.numpy() * root, rcond=None)[0]
    np.testing.assert_allclose(float(scale_fit(source, target, weight)), alone[0], rtol=0, atol=1e-10)


def test_images_of_a_batch_are_fitted_by_themselves() -> None:
    rows = [_draw(seed) for seed in range(3)]
    fits = affine_fit(*(torch.stack(values) for values in zip(*rows, strict=True)))
    for number, row in enumerate(rows):
        alone = affine_fit(*row)
        torch.testing.assert_close(fits.scale[number], alone.scale)
        torch.testing.assert_close(fits.shift[number], alone.shift)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_to_fit_stays_finite(dtype: torch.dtype) -> None:
    source, target, _ = (values.to(dtype) for values in _draw(0))
    nothing, one = torch.zeros_like(source), torch.zeros_like(source)
    one[3] = 1.0
    flat, everything = torch.full_like(source, 2.0), torch.ones_like(source)
    for fit in (affine_fit, upright_fit):
        empty = fit(source, target, nothing)
        assert (float(empty.scale), float(empty.shift)) == (1.0, 0.0)
        single = fit(source, target, one)
        torch.testing.assert_close(single.of(source)[3], target[3])
        assert float(single.scale) == 1.0
        shifted = fit(flat, target, everything)
        torch.testing.assert_close(shifted.of(flat).mean(), target.mean())
    assert float(scale_fit(source, target, nothing)) == 1.0


def test_a_mirrored_source_is_told_and_never_fitted_upright() -> None:
    source, target, weight = _draw(1)
    assert float(affine_fit(-source, target, weight).scale) < 0
    upright = upright_fit(-source, target, weight)
    assert float(upright.scale) > 0
    flat = (weight * (target - (weight * target).sum() / weight.sum()).square()).sum()
    assert (weight * (upright.of(-source) - target).square()).sum() > flat


def test_outliers_below_one_half_do_not_move_the_robust_fits() -> None:
    source, _, _ = _draw(2, 200)
    target = 1.5 * source - 0.4
    target[:60] = 9.0  # a window, and a wall that was taken for another
    fit = robust_affine_fit(source, target)
    np.testing.assert_allclose([float(fit.scale), float(fit.shift)], [1.5, -0.4], atol=1e-6)
    factor = median_log_ratio(source, torch.where(torch.arange(200) < 90, 40.0, 1.25 * source))
    assert float(factor.exp()) == pytest.approx(1.25)


def test_gradients_go_through_the_fit() -> None:
    source, target, weight = _draw(3, 9)
    source.requires_grad_(True)

    def error(values: torch.Tensor) -> torch.Tensor:
        return (weight * (upright_fit(values, target, weight).of(values) - target).square()).sum()

    assert torch.autograd.gradcheck(error, (source,))
    mirrored = (-source.detach()).requires_grad_(True)
    assert torch.autograd.gradcheck(error, (mirrored,))
