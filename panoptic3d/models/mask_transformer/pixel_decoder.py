"""The pixel decoder (section 3.2): maps of the trunk that have seen one another, and two maps of stride 4 for the queries."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.models.mask_transformer.config import PixelDecoderConfig
from panoptic3d.models.mask_transformer.deformable_attention import DeformableAttention, Sizes
from panoptic3d.models.mask_transformer.positions import sine_positions

_NUM_LEVELS = 3  # strides 32, 16 and 8: the order of everything here


@dataclass(frozen=True, eq=False)
class PixelFeatures:
    """`coarse` are the maps of strides 32, 16 and 8. Products of a query with the two others are its mask and its depth.

    Another network's may have no coarse maps, and no features of depth.
    """

    coarse: tuple[Float[Tensor, "b c _ _"], ...]
    mask_features: Float[Tensor, "b c h4 w4"]
    depth_features: Float[Tensor, "b c h4 w4"] | None


class PixelDecoder(nn.Module):
    def __init__(self, channels: tuple[int, int, int, int], config: PixelDecoderConfig) -> None:
        """`channels` are those of the trunk, fine to coarse."""
        super().__init__()
        width, groups = config.width, config.norm_groups
        projections = [nn.Conv2d(num_in, width, 1) for num_in in (channels[3], channels[2], channels[1])]
        self.project = nn.ModuleList(nn.Sequential(conv, nn.GroupNorm(groups, width)) for conv in projections)
        self.level_embed = nn.Parameter(torch.randn(_NUM_LEVELS, width))
        self.layers = nn.ModuleList(DeformableLayer(config) for _ in range(config.num_layers))
        self.lateral = nn.Sequential(nn.Conv2d(channels[0], width, 1, bias=False), nn.GroupNorm(groups, width))
        self.smooth = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(groups, width))
        self.mask_features = nn.Conv2d(width, width, 1)
        self.depth_features = nn.Conv2d(width, width, 1)
        for conv in projections:
            nn.init.xavier_uniform_(conv.weight)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, pyramid: Pyramid) -> PixelFeatures:
        maps = [
            layer(map_)
            for layer, map_ in zip(self.project, (pyramid.stride32, pyramid.stride16, pyramid.stride8), strict=True)
        ]
        sizes = [(map_.shape[2], map_.shape[3]) for map_ in maps]
        tokens = torch.cat([map_.flatten(2).transpose(1, 2) for map_ in maps], dim=1)
        positions, places = self._positions(sizes, tokens), _places(sizes, tokens)
        for layer in self.layers:
            tokens = layer(tokens, positions, places, sizes)
        parts = tokens.split([h * w for h, w in sizes], dim=1)
        c32, c16, c8 = (p.transpose(1, 2).unflatten(2, size) for p, size in zip(parts, sizes, strict=True))
        fine = self._fine(pyramid.stride4, c8)
        return PixelFeatures((c32, c16, c8), self.mask_features(fine), self.depth_features(fine))

    def _positions(self, sizes: Sizes, tokens: Tensor) -> Float[Tensor, "tokens c"]:
        codes = []
        for (height, width), level in zip(sizes, self.level_embed, strict=True):
            code = sine_positions(height, width, tokens.shape[2], tokens.device)
            codes.append(code.flatten(1).t() + level)
        return torch.cat(codes)

    def _fine(self, stride4: Float[Tensor, "b c4 h w"], coarse: Float[Tensor, "b c h8 w8"]) -> Float[Tensor, "b c h w"]:
        size = (stride4.shape[2], stride4.shape[3])
        return F.relu(self.smooth(self.lateral(stride4) + F.interpolate(coarse, size=size, mode="bilinear")))


class DeformableLayer(nn.Module):
    """Deformable attention and a feed-forward block, each with a residual and LayerNorm after it (post-norm)."""

    def __init__(self, config: PixelDecoderConfig) -> None:
        super().__init__()
        width = config.width
        self.attention = DeformableAttention(width, config.num_heads, _NUM_LEVELS, config.num_points)
        self.norm1 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, config.hidden)
        self.linear2 = nn.Linear(config.hidden, width)
        self.norm2 = nn.LayerNorm(width)
        for layer in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(layer.weight)

    def forward(
        self,
        tokens: Float[Tensor, "b tokens c"],
        positions: Float[Tensor, "tokens c"],
        places: Float[Tensor, "tokens 2"],
        sizes: Sizes,
    ) -> Float[Tensor, "b tokens c"]:
        tokens = self.norm1(tokens + self.attention(tokens + positions, tokens, places, sizes))
        return self.norm2(tokens + self.linear2(F.relu(self.linear1(tokens))))


def _places(sizes: Sizes, like: Tensor) -> Float[Tensor, "tokens 2"]:
    """Centres of the cells in [0, 1], (x, y)."""
    places = []
    for height, width in sizes:
        y = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
        x = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
        places.append(torch.stack((x.expand(height, -1), y[:, None].expand(-1, width)), dim=2).flatten(0, 1))
    return torch.cat(places)
