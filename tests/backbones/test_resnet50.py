import pytest
import torch
from torch import nn

from panoptic3d.backbones.pyramid import Trunk
from panoptic3d.backbones.resnet50 import Bottleneck, ResNet50


@pytest.mark.parametrize(("width", "height"), [(64, 48), (70, 33)])
def test_the_pyramid_halves_and_rounds_up(width: int, height: int) -> None:
    trunk = ResNet50(width=8).eval()
    assert isinstance(trunk, Trunk)
    with torch.inference_mode():
        pyramid = trunk(torch.randn(1, 3, height, width))
    for map_, channels, stride in zip(pyramid, trunk.channels, (4, 8, 16, 32), strict=True):
        assert map_.shape == (1, channels, -(-height // stride), -(-width // stride))


def test_names_and_sizes_are_those_of_torchvision() -> None:
    with torch.device("meta"):
        trunk = ResNet50()
    state = trunk.state_dict()
    assert len(state) == 318
    assert sum(parameter.numel() for parameter in trunk.parameters()) == 23_508_032
    assert state["layer3.0.downsample.0.weight"].shape == (1024, 512, 1, 1)
    assert state["layer4.2.bn3.bias"].shape == (2048,)


def test_the_middle_convolution_carries_the_stride() -> None:
    block = Bottleneck(8, 4, 2, "batch")
    convolutions = (block.conv1, block.conv2, block.conv3)
    assert [convolution.stride for convolution in convolutions] == [(1, 1), (2, 2), (1, 1)]
    assert isinstance(block.downsample, nn.Sequential)
    assert block(torch.zeros(2, 8, 5, 7)).shape == (2, 16, 3, 4)
