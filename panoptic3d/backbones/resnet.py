"""ResNet-18 (He et al., CVPR 2016) without its classifier. Parameters carry torchvision's names, so its weights fit."""

from typing import ClassVar, Literal

import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from panoptic3d.backbones.norms import NormName, norm2d
from panoptic3d.backbones.pretrained import load_torchvision_weights
from panoptic3d.backbones.pyramid import Pyramid, TrunkConfig


class BasicBlock(nn.Module):
    def __init__(self, num_in: int, num_out: int, stride: int, norm: NormName) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_in, num_out, 3, stride, padding=1, bias=False)
        self.bn1 = norm2d(norm, num_out)
        self.conv2 = nn.Conv2d(num_out, num_out, 3, padding=1, bias=False)
        self.bn2 = norm2d(norm, num_out)
        self.downsample = None
        if stride != 1 or num_in != num_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(num_in, num_out, 1, stride, bias=False),
                norm2d(norm, num_out),
            )

    def forward(self, x: Float[Tensor, "b cin h w"]) -> Float[Tensor, "b cout h2 w2"]:
        hidden = F.relu(self.bn1(self.conv1(x)))
        hidden = self.bn2(self.conv2(hidden))
        return F.relu(hidden + (x if self.downsample is None else self.downsample(x)))


class ResNet18Config(TrunkConfig):
    name: Literal["resnet18"] = "resnet18"
    norm: NormName = "frozen"
    width: int = Field(default=64, ge=16, multiple_of=16)  # channels of the finest map

    @property
    def channels(self) -> tuple[int, int, int, int]:
        w = self.width
        return (w, 2 * w, 4 * w, 8 * w)


class ResNet18(nn.Module):
    """`width` 64 is the published network; a smaller one shrinks every map."""

    config_kind: ClassVar = ResNet18Config
    channels: tuple[int, int, int, int]

    @classmethod
    def built(cls, config: ResNet18Config) -> "ResNet18":
        return cls(config.norm, config.width)

    def __init__(self, norm: NormName = "frozen", width: int = 64) -> None:
        super().__init__()
        self.channels = (width, 2 * width, 4 * width, 8 * width)
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm2d(norm, width)
        self.layer1 = _stage(width, width, 1, norm)
        self.layer2 = _stage(width, 2 * width, 2, norm)
        self.layer3 = _stage(2 * width, 4 * width, 2, norm)
        self.layer4 = _stage(4 * width, 8 * width, 2, norm)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Pyramid:
        stem = F.relu(self.bn1(self.conv1(image)))
        stride4 = self.layer1(F.max_pool2d(stem, 3, stride=2, padding=1))
        stride8 = self.layer2(stride4)
        stride16 = self.layer3(stride8)
        return Pyramid(stride4, stride8, stride16, self.layer4(stride16))

    def load_pretrained(self, file: str) -> None:
        load_torchvision_weights(self, file)


def _stage(num_in: int, num_out: int, stride: int, norm: NormName) -> nn.Sequential:
    return nn.Sequential(BasicBlock(num_in, num_out, stride, norm), BasicBlock(num_out, num_out, 1, norm))
