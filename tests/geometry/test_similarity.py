"""Similarities are found again, and never mirrored."""

import math

import pytest
import torch
from torch import Tensor

from panoptic3d.geometry.similarity import fitted_similarity


def _points(num: int) -> Tensor:
    return torch.randn(num, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(num))


def _turn(angle: float) -> Tensor:
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s, 0], [s * 0.6, c * 0.6, -0.8], [s * 0.8, c * 0.8, 0.6]], dtype=torch.float64)


@pytest.mark.parametrize("num", [3, 12])
def test_it_is_found_again(num: int) -> None:
    here = _points(num)
    found = fitted_similarity(here, 2.5 * here @ _turn(0.7).T + torch.tensor([1.0, -2, 3]).double())
    assert found.scale == pytest.approx(2.5)
    assert torch.allclose(found.rotation, _turn(0.7), atol=1e-9)
    assert torch.allclose(found(here)[0], 2.5 * _turn(0.7) @ here[0] + torch.tensor([1.0, -2, 3]).double())


def test_a_mirrored_set_gets_a_rotation() -> None:
    here = _points(9)
    found = fitted_similarity(here, here * torch.tensor([-1.0, 1, 1]).double())
    assert float(torch.linalg.det(found.rotation)) == pytest.approx(1)


@pytest.mark.parametrize("points", [_points(2), torch.arange(4.0).double()[:, None].expand(4, 3)])
def test_what_does_not_fix_one_is_refused(points: Tensor) -> None:
    with pytest.raises(ValueError, match=r"similarity|line"):
        fitted_similarity(points, points)
