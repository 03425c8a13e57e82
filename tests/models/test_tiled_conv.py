import pytest
import torch
import torch.nn.functional as F
from torch import nn

from panoptic3d.models.up_projection.tiled_conv import conv_of_map, in_tiles, pays


@pytest.mark.parametrize(("batch", "num_out", "height", "width"), [(1, 33, 4, 4), (2, 40, 37, 50), (1, 1, 1, 9)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_tiles_are_the_convolution(batch: int, num_out: int, height: int, width: int, has_bias: bool) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(batch, 35, height, width, generator=random)
    weight, bias = torch.randn(num_out, 35, 5, 5, generator=random), torch.randn(num_out, generator=random)
    offset = bias if has_bias else None
    expected = F.conv2d(x.double(), weight.double(), None if offset is None else offset.double(), padding=2)
    got = in_tiles(x, weight, offset)
    assert got.shape == expected.shape
    assert float((got - expected).abs().max()) < 5e-5 * float(expected.std())


def test_gradients_and_thin_or_other_kernels_go_the_ordinary_way() -> None:
    x, wide = torch.zeros(1, 32, 64, 64), nn.Conv2d(32, 32, 5, padding=2)
    assert not pays(x, wide)
    with torch.inference_mode():
        assert pays(x, wide)
        assert not pays(x.double(), wide)
        assert not pays(x[:, :, :8, :8], wide)
        assert not pays(x, nn.Conv2d(32, 1, 5, padding=2))
        assert not pays(x, nn.Conv2d(32, 32, 3, padding=1))
    conv_of_map(x, wide).sum().backward()
    assert wide.weight.grad is not None
