import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from panoptic3d.models.up_projection.enlarged import enlarged_conv, mixed_first, pays

sizes = st.integers(1, 6)


@given(sizes, sizes, st.integers(1, 13), st.integers(1, 13), st.sampled_from((1, 3, 5)), st.integers(1, 2))
def test_mixing_first_twin(h: int, w: int, height: int, width: int, taps: int, batch: int) -> None:
    random = torch.Generator().manual_seed(h + 7 * w)
    small = torch.randn(batch, 4, h, w, generator=random, dtype=torch.float64)
    weight = torch.randn(3, 4, taps, taps, generator=random, dtype=torch.float64)
    large = F.interpolate(small, size=(height, width), mode="bilinear", align_corners=True)
    expected = F.conv2d(large, weight, padding=taps // 2)
    torch.testing.assert_close(mixed_first(small, weight, (height, width)), expected)


@pytest.mark.parametrize(("size", "is_worth_it"), [((32, 32), True), ((5, 5), False)])
def test_either_way_with_gradients(size: tuple[int, int], is_worth_it: bool) -> None:
    random = torch.Generator().manual_seed(0)
    small = torch.randn(1, 64, 4, 4, generator=random, dtype=torch.float64).requires_grad_()
    weight = torch.randn(8, 64, 5, 5, generator=random, dtype=torch.float64).requires_grad_()
    assert pays(small, weight, size) == is_worth_it
    large = F.interpolate(small, size=size, mode="bilinear", align_corners=True)
    ways = (enlarged_conv(small, weight, size), F.conv2d(large, weight, padding=2))
    ours, expected = (torch.autograd.grad(way.square().sum(), (small, weight)) for way in ways)
    torch.testing.assert_close(ours, expected)
