"""A trunk whose norms keep their statistics learns by other convolutions than the one that predicts: a twin of it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from panoptic3d.backbones.efficientnet_lite import EfficientNetLite
from panoptic3d.backbones.learning_convs import depthwise, folded, pointwise


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [(2, 2, 2, 2), (1, 2, 0, 3), (0, 0, 0, 0)])
def test_depthwise_convolutions_and_their_gradients(size: int, stride: int, padding: tuple[int, int, int, int]) -> None:
    torch.manual_seed(size)
    shapes = ((2, 6, 9, 11), (6, 1, size, size), (6,))
    ours, theirs = ([torch.randn(*s).requires_grad_() for s in shapes] for _ in range(2))
    for own, twin in zip(ours, theirs, strict=True):
        twin.data.copy_(own.data)
    made = depthwise(ours[0].contiguous(memory_format=torch.channels_last), ours[1], ours[2], stride, padding)
    expected = F.conv2d(F.pad(theirs[0], padding), theirs[1], theirs[2], stride, groups=6)
    torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-5)
    weight = torch.randn_like(expected)
    (made * weight).sum().backward()
    (expected * weight).sum().backward()
    for own, twin in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own.grad, twin.grad, rtol=1e-5, atol=1e-4)


def test_a_folded_norm_and_a_product_are_a_convolution_and_its_norm() -> None:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(5, 7, 1, bias=False), nn.BatchNorm2d(7).eval()
    nn.init.uniform_(norm.running_mean), nn.init.uniform_(norm.running_var, 0.5, 2.0)
    nn.init.uniform_(norm.weight), nn.init.uniform_(norm.bias)
    x = torch.randn(2, 5, 4, 3)
    torch.testing.assert_close(pointwise(x, *folded(conv, norm)), norm(conv(x)), rtol=1e-5, atol=1e-5)


def test_a_trunk_that_learns_with_fixed_statistics_sees_what_the_predicting_one_sees() -> None:
    torch.manual_seed(0)
    trunk = EfficientNetLite("lite0").eval()
    image = torch.randn(1, 3, 64, 96)
    learning = trunk(image)
    with torch.no_grad():
        predicting = trunk(image)
    for own, twin in zip(learning, predicting, strict=True):
        assert own.requires_grad
        torch.testing.assert_close(own, twin, rtol=1e-4, atol=1e-4 * float(twin.abs().max()))
    sum(map_.square().mean() for map_ in learning).backward()
    assert [n for n, p in trunk.named_parameters() if p.grad is None or not bool(p.grad.any())] == []
