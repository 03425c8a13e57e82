"""Uncertainty of pixels: its terms against loops, and the answers that are known in closed form."""

import numpy as np
import pytest
import torch

from panoptic3d.losses.beta_terms import beta_loss, neighbour_variance, structural_error


def _by_loops(own: np.ndarray, other: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Straight from the definition of SSIM, window by window."""
    error = np.zeros(own.shape)
    for row, column in np.argwhere(known):
        window = (slice(max(row - 2, 0), row + 3), slice(max(column - 2, 0), column + 3))
        a, b = own[window][known[window]], other[window][known[window]]
        covariance, spread = np.mean((a - a.mean()) * (b - b.mean())), a.std() * b.std()
        level = (2 * a.mean() * b.mean() + 1e-4) / (a.mean() ** 2 + b.mean() ** 2 + 1e-4)
        contrast = (2 * spread + 9e-4) / (a.var() + b.var() + 9e-4)
        structure = (covariance + 4.5e-4) / (spread + 4.5e-4)
        error[row, column] = (1 - level) * (1 - min(contrast, 0.98)) * (1 - min(structure, 0.98))
    return error


@pytest.mark.parametrize("share", [1.0, 0.6])
def test_the_structural_error_is_that_of_its_definition(share: float) -> None:
    random = np.random.default_rng(0)
    own, other = random.uniform(1, 4, (2, 11, 14))
    known = random.random(own.shape) <= share
    found = structural_error(*(torch.from_numpy(x) for x in (own, other, known)))
    np.testing.assert_allclose(found.numpy(), _by_loops(own, other, known), atol=1e-9)
    assert float(structural_error(*(torch.from_numpy(x) for x in (own, own, known))).max()) < 1e-12


def test_what_is_unknown_has_no_error_and_no_say() -> None:
    own, other = torch.rand(9, 9).double() + 1, torch.rand(9, 9).double() + 1
    known = torch.ones(9, 9, dtype=torch.bool)
    known[4, 4] = False
    broken = own.clone()
    broken[4, 4] = torch.nan
    found = structural_error(broken, other, known)
    assert found[4, 4] == 0
    assert torch.equal(found, structural_error(own, other, known))


@pytest.mark.parametrize("error", [0.002, 0.05, 0.4])
def test_beta_settles_at_the_root_of_error_over_lambda(error: float) -> None:
    log_beta = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([log_beta], lr=0.02)
    for _ in range(600):
        loss = beta_loss(torch.tensor([error]), log_beta.exp(), torch.ones(1, 3), 0.1, 0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert log_beta.exp().item() == pytest.approx((error / 0.1) ** 0.5, rel=1e-3)


def test_neighbours_are_what_looks_alike() -> None:
    features = torch.tensor([[1.0, 0, 0], [2.0, 0.1, 0], [0, 1.0, 0], [0, 0, 0]])
    beta = torch.tensor([0.2, 0.6, 5.0, 7.0], requires_grad=True)
    variance = neighbour_variance(beta, features)
    assert torch.allclose(variance, torch.tensor([0.04, 0.04, 0.0, 0.0]))  # the last two have only themselves
    variance.sum().backward()
    assert beta.grad is not None
    assert torch.allclose(beta.grad, torch.tensor([-0.4, 0.4, 0.0, 0.0]))  # nobody is drawn to 0
