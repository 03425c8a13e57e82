"""One decoder of Panoptic-DeepLab: from a pyramid to raw maps at stride 4."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.backbones.norms import NormName, norm2d
from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.models.centre_offsets.config import DecoderConfig

_INIT_STD = 1e-3  # of every convolution's weight, as in Panoptic-DeepLab


class ConvNorm(nn.Sequential):
    """Convolution without bias, norm, ReLU. `groups` makes it depthwise."""

    def __init__(
        self, num_in: int, num_out: int, size: int, norm: NormName, dilation: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        padding = dilation * (size // 2)
        self.conv = nn.Conv2d(num_in, num_out, size, padding=padding, dilation=dilation, groups=groups, bias=False)
        self.norm = norm2d(norm, num_out)
        self.relu = nn.ReLU()


class Separable(nn.Sequential):
    """A depthwise 5x5 convolution and a 1x1 convolution, each with its norm and ReLU."""

    def __init__(self, num_in: int, num_out: int, norm: NormName) -> None:
        super().__init__()
        self.depthwise = ConvNorm(num_in, num_in, 5, norm, groups=num_in)
        self.pointwise = ConvNorm(num_in, num_out, 1, norm)


class AtrousPyramid(nn.Module):
    """Four views of the coarsest map with growing reach, and its mean. The mean has no norm of its own."""

    def __init__(self, num_in: int, config: DecoderConfig, norm: NormName) -> None:
        super().__init__()
        width = config.pyramid_channels
        self.views = nn.ModuleList(
            [ConvNorm(num_in, width, 1, norm), *(ConvNorm(num_in, width, 3, norm, d) for d in config.dilations)]
        )
        self.mean = nn.Conv2d(num_in, width, 1, bias=False)
        self.project = ConvNorm(5 * width, width, 1, norm)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        mean = F.relu(self.mean(x.mean(dim=(2, 3), keepdim=True))).expand(-1, -1, *x.shape[2:])
        return self.dropout(self.project(torch.cat([*(view(x) for view in self.views), mean], dim=1)))


class Decoder(nn.Module):
    """`heads` are the names of the outputs and how many channels each has."""

    def __init__(
        self,
        trunk_channels: tuple[int, int, int, int],
        heads: Mapping[str, int],
        config: DecoderConfig,
        norm: NormName,
    ) -> None:
        super().__init__()
        c4, c8, c16, c32 = trunk_channels
        self.aspp = AtrousPyramid(c32, config, norm)
        skips = config.skip_channels
        widths = [config.pyramid_channels, config.channels, config.channels]
        self.skip = nn.ModuleList(ConvNorm(a, b, 1, norm) for a, b in zip((c16, c8, c4), skips, strict=True))
        self.fuse = nn.ModuleList(Separable(a + b, config.channels, norm) for a, b in zip(widths, skips, strict=True))
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    Separable(config.channels, config.head_channels, norm),
                    nn.Conv2d(config.head_channels, channels, 1),
                )
                for name, channels in heads.items()
            }
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=_INIT_STD)

    def forward(self, pyramid: Pyramid) -> dict[str, Float[Tensor, "b _ h4 w4"]]:
        x = self.aspp(pyramid.stride32)
        for skip, fuse, map_ in zip(
            self.skip, self.fuse, (pyramid.stride16, pyramid.stride8, pyramid.stride4), strict=True
        ):
            x = fuse(torch.cat((resized(x, (map_.shape[2], map_.shape[3])), skip(map_)), dim=1))
        return {name: head(x) for name, head in self.heads.items()}


def resized(x: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c h2 w2"]:
    """Bilinear, corners on corners."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)
