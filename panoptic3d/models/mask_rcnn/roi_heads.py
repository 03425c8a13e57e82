"""What is in each box: a class, a better box, and a mask. Box and mask heads have a residual stage of their own each."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from panoptic3d.backbones.norms import NormName, norm2d
from panoptic3d.models.mask_rcnn.config import RoiConfig


class Bottleneck(nn.Module):
    """1x1 (which strides), 3x3, 1x1, beside a shortcut."""

    def __init__(self, num_in: int, width: int, stride: int, norm: NormName) -> None:
        super().__init__()
        squeezed = width // 4
        self.conv1 = nn.Conv2d(num_in, squeezed, 1, stride, bias=False)
        self.bn1 = norm2d(norm, squeezed)
        self.conv2 = nn.Conv2d(squeezed, squeezed, 3, padding=1, bias=False)
        self.bn2 = norm2d(norm, squeezed)
        self.conv3 = nn.Conv2d(squeezed, width, 1, bias=False)
        self.bn3 = norm2d(norm, width)
        self.downsample = None
        if num_in != width or stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(num_in, width, 1, stride, bias=False), norm2d(norm, width))

    def forward(self, x: Float[Tensor, "n cin h w"]) -> Float[Tensor, "n cout h2 w2"]:
        hidden = F.relu(self.bn1(self.conv1(x)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        return F.relu(self.bn3(self.conv3(hidden)) + (x if self.downsample is None else self.downsample(x)))


def residual_stage(num_in: int, width: int, norm: NormName) -> nn.Sequential:
    """Three blocks, 14x14 cells to 7x7."""
    return nn.Sequential(*(Bottleneck(c, width, s, norm) for c, s in ((num_in, 2), (width, 1), (width, 1))))


class BoxHead(nn.Module):
    def __init__(self, num_in: int, config: RoiConfig) -> None:
        super().__init__()
        self.stage = residual_stage(num_in, config.width, config.norm)
        self.classes = nn.Linear(config.width, config.num_classes)
        self.regression = nn.Linear(config.width, 4 * config.num_classes)

    def forward(
        self, pooled: Float[Tensor, "n c s s"]
    ) -> tuple[Float[Tensor, "n classes"], Float[Tensor, "n classes4"]]:
        """Logits with background first, and a box code of four numbers for each class."""
        features = self.stage(pooled).mean(dim=(2, 3))
        return self.classes(features), self.regression(features)


class MaskHead(nn.Module):
    def __init__(self, num_in: int, config: RoiConfig) -> None:
        super().__init__()
        self.stage = residual_stage(num_in, config.width, config.norm)
        self.up = nn.ConvTranspose2d(config.width, config.width // 2, 2, stride=2)
        self.logits = nn.Conv2d(config.width // 2, config.num_classes, 1)

    def forward(self, pooled: Float[Tensor, "n c s s"]) -> Float[Tensor, "n classes m m"]:
        return self.logits(F.relu(self.up(self.stage(pooled))))

    @staticmethod
    def of_class(logits: Float[Tensor, "n classes m m"], class_ids: Int64[Tensor, " n"]) -> Float[Tensor, "n m m"]:
        return logits[torch.arange(len(logits), device=logits.device), class_ids]
