"""Dense metric depth from a pyramid, at half the resolution of the image."""

import itertools
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from panoptic3d.backbones.norms import NormName, norm2d
from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.geometry.precision import widened, without_autocast
from panoptic3d.models.pipeline_config import PipelineConfig, RaySlot
from panoptic3d.models.slots import Panoptic2D, RayEstimate
from panoptic3d.models.up_projection.enlarged import enlarged_conv
from panoptic3d.models.up_projection.tiled_conv import conv_of_map
from panoptic3d.structures.camera import Camera


class UpProjectionConfig(RaySlot):
    name: Literal["up-projection"] = "up-projection"
    norm: NormName = "frozen"
    num_climbed: int = Field(default=16, ge=1)  # features of the way up from the coarsest map
    num_fused: int = Field(default=16, ge=1)  # features that each map of the pyramid adds to the fused map
    # Occupancy along rays (BUOL, section 4.3): logits of so many planes; plane b begins at depth b * plane_spacing_m.
    num_planes: int = Field(default=0, ge=0)
    plane_spacing_m: float = Field(default=0.06, gt=0)

    def num_lifted(self, method: PipelineConfig) -> int:
        return self.num_features

    @property
    def num_features(self) -> int:
        """Number of features per pixel that are lifted."""
        return self.num_climbed + 4 * self.num_fused


class ConvNorm(nn.Sequential):
    def __init__(self, num_in: int, num_out: int, size: int, norm: NormName) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_in, num_out, size, padding=size // 2, bias=False)
        self.norm = norm2d(norm, num_out)

    def forward(self, input: Float[Tensor, "b cin h w"]) -> Float[Tensor, "b cout h w"]:
        return self.norm(conv_of_map(input, self.conv))


class UpProjection(nn.Module):
    """Resize first, then two branches that are added. Their first convolutions are worked out as one."""

    def __init__(self, num_in: int, num_out: int, norm: NormName) -> None:
        super().__init__()
        self.narrow = ConvNorm(num_in, num_out, 5, norm)
        self.refine = ConvNorm(num_out, num_out, 3, norm)
        self.shortcut = ConvNorm(num_in, num_out, 5, norm)

    def forward(self, x: Float[Tensor, "b cin h w"], size: tuple[int, int]) -> Float[Tensor, "b cout h2 w2"]:
        both = torch.cat((self.narrow.conv.weight, self.shortcut.conv.weight))
        narrow, beside = enlarged_conv(x, both, size).chunk(2, dim=1)
        return F.relu(self.refine(F.relu(self.narrow.norm(narrow))) + self.shortcut.norm(beside))


class PlaneReader(nn.Module):
    """What a pixel's ray holds at each depth, read from the features as the depth is, by convolutions of its own."""

    def __init__(self, num_features: int, num_planes: int, norm: NormName) -> None:
        super().__init__()
        self.read = nn.ModuleList(ConvNorm(num_features, num_features, 5, norm) for _ in range(2))
        self.logits = nn.Conv2d(num_features, num_planes, 5, padding=2)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b planes h w"]:
        for step in self.read:
            features = F.relu(step(features))
        return conv_of_map(features, self.logits)


class DepthDecoder(nn.Module):
    """Two ways up, side by side as the features that are lifted; three convolutions read the depth from them.

    Metres along the optical axis, unbounded: nothing keeps the depth positive.
    """

    config_kind: ClassVar = UpProjectionConfig

    @classmethod
    def built(cls, config: UpProjectionConfig, method: PipelineConfig) -> "DepthDecoder":
        return cls(method.channels, config)

    def __init__(self, trunk_channels: tuple[int, int, int, int], config: UpProjectionConfig) -> None:
        super().__init__()
        norm, width, fused = config.norm, trunk_channels[3], config.num_fused
        self.squeeze = ConvNorm(width, width // 2, 1, norm)
        widths = [width // 2, width // 4, width // 8, width // 16, config.num_climbed]
        self.climb = nn.ModuleList(UpProjection(a, b, norm) for a, b in itertools.pairwise(widths))
        self.fuse = nn.ModuleList(UpProjection(channels, fused, norm) for channels in trunk_channels)
        self.fused = ConvNorm(4 * fused, 4 * fused, 5, norm)
        every = config.num_features
        self.config = config
        self.read = nn.ModuleList(ConvNorm(every, every, 5, norm) for _ in range(2))
        self.depth = nn.Conv2d(every, 1, 5, padding=2)
        self.planes = PlaneReader(every, config.num_planes, norm) if config.num_planes else None

    def forward(self, pyramid: Pyramid, cameras: tuple[Camera, ...], panoptic: Panoptic2D) -> RayEstimate:
        """Depth does not look at the panoptic stage here."""
        features = self.features(pyramid)
        height, width = features.shape[2:]
        return RayEstimate(
            cameras=tuple(camera.resized(width, height) for camera in cameras),
            depth_m=self.depth_m(features),
            features=features,
            occupancy_logits=None if self.planes is None else self.planes(features),
            plane_spacing_m=None if self.planes is None else self.config.plane_spacing_m,
        )

    def features(self, pyramid: Pyramid) -> Float[Tensor, "b c h w"]:
        full = (2 * pyramid.stride4.shape[2], 2 * pyramid.stride4.shape[3])
        x = F.relu(self.squeeze(pyramid.stride32))
        below = [_size(pyramid.stride16), _size(pyramid.stride8), _size(pyramid.stride4), full]
        for step, size in zip(self.climb, below, strict=True):
            x = step(x, size)
        maps = [step(map_, full) for step, map_ in zip(self.fuse, pyramid, strict=True)]
        return torch.cat((x, F.relu(self.fused(torch.cat(maps, dim=1)))), dim=1)

    def depth_m(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
        for step in self.read:
            features = F.relu(step(features))
        with without_autocast(features.device):
            return self.depth(widened(features))[:, 0]


def _size(x: Float[Tensor, "b c h w"]) -> tuple[int, int]:
    return x.shape[2], x.shape[3]
