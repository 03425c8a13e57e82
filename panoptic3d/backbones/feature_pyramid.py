"""Feature pyramid: adds coarse maps of a trunk, which see the whole room, to its fine ones."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.backbones.learning_convs import Pointwise
from panoptic3d.backbones.pyramid import Pyramid, Trunk


class FeaturePyramid(nn.Module):
    """Lin et al., CVPR 2017, with as many channels at every stride. The coarsest map gets the mean of the image first."""

    def __init__(self, trunk: Trunk, width: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.channels = (width, width, width, width)
        self.lateral = nn.ModuleList(Pointwise(channels, width) for channels in trunk.channels)
        self.whole = nn.Linear(trunk.channels[3], width)
        self.smooth = nn.ModuleList(_Smooth(width) for _ in trunk.channels)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Pyramid:
        maps = list(self.trunk(image))
        sides = [lateral(map_) for lateral, map_ in zip(self.lateral, maps, strict=True)]
        x = self.smooth[3](sides[3] + self.whole(maps[3].mean(dim=(2, 3)))[:, :, None, None])
        fused = [x]
        for level in (2, 1, 0):
            size = (sides[level].shape[2], sides[level].shape[3])
            x = self.smooth[level](sides[level] + F.interpolate(x, size=size, mode="bilinear"))
            fused.append(x)
        return Pyramid(*reversed(fused))


class _Smooth(nn.Module):
    """A residual 3x3 convolution with a norm that does not depend on the batch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(max(width // 8, 1), width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.conv(F.relu(self.norm(x)))
