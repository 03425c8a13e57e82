import pytest
import torch
from torch import nn

from panoptic3d.backbones.norms import FrozenAffine, norm2d
from panoptic3d.backbones.pyramid import Trunk
from panoptic3d.backbones.resnet import ResNet18


def test_a_frozen_norm_is_a_batch_norm_that_has_stopped() -> None:
    torch.manual_seed(0)
    batch = norm2d("batch", 5).eval()
    for tensor in (batch.weight, batch.bias, batch.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(batch.running_var, 0.1, 2)
    state = {k: v for k, v in batch.state_dict().items() if k != "num_batches_tracked"}
    x = torch.randn(2, 5, 4, 3)
    frozen = norm2d("frozen-eps", 5)
    frozen.load_state_dict(state)
    torch.testing.assert_close(frozen(x), batch(x))
    without_eps = FrozenAffine(5)
    without_eps.load_state_dict(state)
    batch.eps = 0.0
    torch.testing.assert_close(without_eps(x), batch(x))
    assert not list(without_eps.parameters())


@pytest.mark.parametrize(("width", "height"), [(320, 240), (70, 33)])
def test_the_pyramid_halves_and_rounds_up(width: int, height: int) -> None:
    trunk = ResNet18("frozen").eval()
    assert isinstance(trunk, Trunk)
    with torch.inference_mode():
        pyramid = trunk(torch.randn(1, 3, height, width))
    for map_, channels, stride in zip(pyramid, trunk.channels, (4, 8, 16, 32), strict=True):
        assert map_.shape == (1, channels, -(-height // stride), -(-width // stride))


def test_names_are_those_of_torchvision() -> None:
    names = set(ResNet18("batch").state_dict())
    assert {"conv1.weight", "bn1.running_var", "layer2.0.downsample.0.weight", "layer4.1.bn2.bias"} <= names
    assert len(names) == 120
