"""ResNet-50 (He et al., CVPR 2016) without its classifier, with torchvision's names for its parameters.

The 3x3 convolution of a bottleneck carries the stride, as in torchvision ("v1.5") and in detectron2 with
`STRIDE_IN_1X1 = False`: the same network under two sets of names.
"""

from typing import ClassVar, Literal

import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from panoptic3d.backbones.norms import NormName, norm2d
from panoptic3d.backbones.pretrained import load_torchvision_weights
from panoptic3d.backbones.pyramid import Pyramid, TrunkConfig

_EXPANSION = 4
_BLOCKS = (3, 4, 6, 3)


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times as many channels, beside a shortcut."""

    def __init__(self, num_in: int, num_hidden: int, stride: int, norm: NormName) -> None:
        super().__init__()
        num_out = _EXPANSION * num_hidden
        self.conv1 = nn.Conv2d(num_in, num_hidden, 1, bias=False)
        self.bn1 = norm2d(norm, num_hidden)
        self.conv2 = nn.Conv2d(num_hidden, num_hidden, 3, stride, padding=1, bias=False)
        self.bn2 = norm2d(norm, num_hidden)
        self.conv3 = nn.Conv2d(num_hidden, num_out, 1, bias=False)
        self.bn3 = norm2d(norm, num_out)
        self.downsample = None
        if stride != 1 or num_in != num_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(num_in, num_out, 1, stride, bias=False),
                norm2d(norm, num_out),
            )

    def forward(self, x: Float[Tensor, "b cin h w"]) -> Float[Tensor, "b cout h2 w2"]:
        hidden = F.relu(self.bn1(self.conv1(x)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        hidden = self.bn3(self.conv3(hidden))
        return F.relu(hidden + (x if self.downsample is None else self.downsample(x)))


class ResNet50Config(TrunkConfig):
    name: Literal["resnet50"] = "resnet50"
    norm: NormName = "batch"
    width: int = Field(default=64, ge=4, multiple_of=4)  # a quarter of the channels of the finest map

    @property
    def channels(self) -> tuple[int, int, int, int]:
        w = self.width
        return (4 * w, 8 * w, 16 * w, 32 * w)


class ResNet50(nn.Module):
    """`width` 64 is the published network, with 256 to 2048 channels; a smaller one shrinks every map."""

    config_kind: ClassVar = ResNet50Config
    channels: tuple[int, int, int, int]

    @classmethod
    def built(cls, config: ResNet50Config) -> "ResNet50":
        return cls(config.norm, config.width)

    def __init__(self, norm: NormName = "batch", width: int = 64) -> None:
        super().__init__()
        hidden = (width, 2 * width, 4 * width, 8 * width)
        c4, c8, c16, c32 = (_EXPANSION * channels for channels in hidden)
        self.channels = (c4, c8, c16, c32)
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm2d(norm, width)
        self.layer1 = _stage(width, hidden[0], _BLOCKS[0], 1, norm)
        self.layer2 = _stage(c4, hidden[1], _BLOCKS[1], 2, norm)
        self.layer3 = _stage(c8, hidden[2], _BLOCKS[2], 2, norm)
        self.layer4 = _stage(c16, hidden[3], _BLOCKS[3], 2, norm)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Pyramid:
        stem = F.relu(self.bn1(self.conv1(image)))
        stride4 = self.layer1(F.max_pool2d(stem, 3, stride=2, padding=1))
        stride8 = self.layer2(stride4)
        stride16 = self.layer3(stride8)
        return Pyramid(stride4, stride8, stride16, self.layer4(stride16))

    def load_pretrained(self, file: str) -> None:
        load_torchvision_weights(self, file)


def _stage(num_in: int, num_hidden: int, num_blocks: int, stride: int, norm: NormName) -> nn.Sequential:
    first = Bottleneck(num_in, num_hidden, stride, norm)
    rest = [Bottleneck(_EXPANSION * num_hidden, num_hidden, 1, norm) for _ in range(num_blocks - 1)]
    return nn.Sequential(first, *rest)
