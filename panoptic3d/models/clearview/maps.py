"""The 2D heads: classes of pixels, and depth along their rays."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from panoptic3d.backbones.learning_convs import Pointwise
from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.geometry.precision import widened, without_autocast
from panoptic3d.geometry.room_planes import Plane
from panoptic3d.models.clearview.config import PixelConfig, RayConfig
from panoptic3d.models.clearview.mirror import at_photo, geometric_mean, vectors_at_photo
from panoptic3d.models.clearview.rays import ray_slopes
from panoptic3d.models.clearview.stance import NUM_PLANES, Stance, StanceHead, horizontal_planes
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.slots import Panoptic2D, RayEstimate
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.instances import Instances2D

_NEAR_M, _FAR_M = 0.2, 20.0
_LOG_SPREAD = (-5.0, 1.0)
_ON_FLOOR = 0.15  # the most that the log of a layout's depth differs from that of the floor where it shows the floor
_TYPICAL_M = 2.5  # depth that an untrained network predicts
_OWN = 2.0  # the logit by which a pixel at first shows something of its own
_RARE = -3.0  # the logit at which the occupancy of planes starts
# Names of the maps of the panoptic stage: class logits; where, seen from the surface point of a pixel, the centre of its
# thing lies (metres, camera frame); the log scale of that vote's error, in metres.
SEMANTICS, VOTES, VOTE_SPREAD = "semantics", "votes", "vote_spread"
NUM_READ = 32  # features of a pixel, from which classes and votes are read
_LOG_VOTE_SPREAD = (-5.0, 1.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class LayeredEstimate(RayEstimate):
    """What a ray meets first, how sure that is, and where the room ends that the things hide."""

    log_spread: Float[Tensor, "b h w"]  # of the log depth: the scale of a Laplace distribution
    layout_m: Float[Tensor, "b h w"] | None  # depth of wall, floor or ceiling, never in front of `depth_m`
    stance: Stance | None = None
    measured: Float[Tensor, "b h w"] | None = (
        None  # 1 where the depth was measured; None if the network has no such input
    )

    @property
    def known_spread(self) -> Float[Tensor, "b h w"]:
        return self.log_spread

    def scaled(self, factor: float) -> "LayeredEstimate":
        scaled = super().scaled(factor)
        assert isinstance(scaled, LayeredEstimate)
        layout_m = None if self.layout_m is None else self.layout_m * factor
        return replace(scaled, layout_m=layout_m, stance=None if self.stance is None else self.stance.scaled(factor))

    def averaged_with(self, mirrored: RayEstimate) -> "LayeredEstimate":
        """Depths by the means of their logarithms. The learned features stay those of the photo itself."""
        assert isinstance(mirrored, LayeredEstimate)
        depth_m = geometric_mean(self.depth_m, at_photo(mirrored.depth_m))
        layout_m, logits, stance = self.layout_m, self.occupancy_logits, self.stance
        if layout_m is not None and mirrored.layout_m is not None:
            layout_m = geometric_mean(layout_m, at_photo(mirrored.layout_m)).maximum(depth_m)
        if logits is not None and mirrored.occupancy_logits is not None:
            logits = (logits + at_photo(mirrored.occupancy_logits)) / 2
        if stance is not None and mirrored.stance is not None:
            stance = stance.averaged_with(mirrored.stance)
        spread = (self.log_spread + at_photo(mirrored.log_spread)) / 2
        return replace(
            self, depth_m=depth_m, log_spread=spread, layout_m=layout_m, occupancy_logits=logits, stance=stance
        )

    def with_depth(
        self, depth_m: Float[Tensor, "b h w"], is_measured: Bool[Tensor, "b h w"], log_spread: float
    ) -> "LayeredEstimate":
        depth_m = depth_m.clamp(_NEAR_M, _FAR_M)
        layout_m = None if self.layout_m is None else self.layout_m.maximum(depth_m)
        spread = torch.where(is_measured, log_spread, self.log_spread)
        measured = None if self.measured is None else is_measured.to(self.measured)
        return replace(self, depth_m=depth_m, log_spread=spread, layout_m=layout_m, measured=measured)

    def standing_on(self, floor: Plane) -> "LayeredEstimate":
        """The stance is that of the floor, and so is the layout where it lay on the floor before. Nothing lies below."""
        if self.stance is None:
            return self
        height_m = self.stance.floor_m.new_tensor([-floor.offset_m])
        stance = Stance(-floor.normal.to(self.stance.down)[None], height_m, self.stance.ceiling_m)
        if self.layout_m is None:
            return replace(self, stance=stance)
        slopes = ray_slopes(self.depth_m[:, None], self.cameras)
        before, after = (horizontal_planes(standing, slopes) for standing in (self.stance, stance))
        floor_m, is_reached = after.log_depth[:, 0].exp(), after.is_reached[:, 0]
        was_floor = before.is_reached[:, 0] & ((self.layout_m.log() - before.log_depth[:, 0]).abs() < _ON_FLOOR)
        layout_m = torch.where(
            is_reached, torch.where(was_floor, floor_m, self.layout_m.minimum(floor_m)), self.layout_m
        )
        return replace(self, stance=stance, layout_m=layout_m.maximum(self.depth_m))


@dataclass(frozen=True, eq=False)
class ClassMaps(Panoptic2D):
    """Class logits of pixels, and maybe their votes for the centres of things, which are lengths."""

    @property
    def semantic_logits(self) -> Float[Tensor, "b classes h w"]:
        return self.maps[SEMANTICS]

    def scaled(self, factor: float) -> "ClassMaps":
        if VOTES not in self.maps:
            return self
        votes = {VOTES: self.maps[VOTES] * factor, VOTE_SPREAD: self.maps[VOTE_SPREAD] + math.log(factor)}
        return replace(self, maps={**self.maps, **votes})

    def averaged_with(self, mirrored: Panoptic2D) -> "ClassMaps":
        back = {name: (vectors_at_photo if name == VOTES else at_photo)(map_) for name, map_ in mirrored.maps.items()}
        return replace(self, maps={name: (own + back[name]) / 2 for name, own in self.maps.items()})


class PixelClasses(nn.Module):
    """Class logits at half the resolution, and of what shows a thing a vote for where its centre lies.

    Things are found in the volume, hidden ones too: none are named here.
    """

    config_kind: ClassVar = PixelConfig

    @classmethod
    def built(cls, config: PixelConfig, method: PipelineConfig) -> "PixelClasses":
        return cls(method.channels[0], len(method.classes), config.has_votes)

    def __init__(self, num_in: int, num_classes: int, has_votes: bool = False) -> None:
        super().__init__()
        self.read = Reader(num_in, NUM_READ)
        self.classes = faint(Pointwise(NUM_READ, num_classes))
        self.votes = faint(nn.Conv2d(NUM_READ, 4, 3, padding=1)) if has_votes else None

    def forward(self, pyramid: Pyramid, cameras: tuple[Camera, ...]) -> ClassMaps:
        maps = self.maps(self.read(pyramid.stride4, cameras))
        device = pyramid.stride4.device
        return ClassMaps(instances=tuple(Instances2D.empty(camera, device) for camera in cameras), maps=maps)

    def maps(self, features: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
        maps = {SEMANTICS: widened(self.classes(features))}
        if self.votes is not None:
            said = widened(self.votes(features))
            maps |= {VOTES: said[:, :3], VOTE_SPREAD: (said[:, 3] - 1).clamp(*_LOG_VOTE_SPREAD)}
        return maps


class LayeredRays(nn.Module):
    """Metric depth with its uncertainty, the depth of the room behind the things, and occupancy of planes."""

    config_kind: ClassVar = RayConfig

    @classmethod
    def built(cls, config: RayConfig, method: PipelineConfig) -> "LayeredRays":
        return cls(method.channels[0], config)

    def __init__(self, num_in: int, config: RayConfig) -> None:
        super().__init__()
        self.config = config
        self.stance = StanceHead(num_in) if config.has_stance else None
        self.read = Reader(num_in, config.width, 2 + NUM_PLANES if config.has_stance else 0)
        # Log depth, log spread, how much farther the room is.
        self.depth = faint(nn.Conv2d(config.width, 3, 3, padding=1))
        self.planes = faint(Pointwise(config.width, config.num_planes), _RARE) if config.has_planes else None
        # Logits for the depth and for the depth of the room behind it: free depth, floor plane, or ceiling plane.
        self.shows = faint(nn.Conv2d(config.width, 2 * (1 + NUM_PLANES), 3, padding=1)) if config.has_stance else None
        if self.shows is not None and self.shows.bias is not None:
            nn.init.constant_(self.shows.bias[:: 1 + NUM_PLANES], _OWN)

    def forward(self, pyramid: Pyramid, cameras: tuple[Camera, ...], panoptic: Panoptic2D) -> LayeredEstimate:
        stance = None if self.stance is None else self.stance(pyramid.stride32, cameras)
        features = self.read(pyramid.stride4, cameras, self._known(pyramid.stride4, cameras, stance))
        with without_autocast(features.device):
            log_depth, log_spread, beyond = self.depth(widened(features)).unbind(dim=1)
        depth_m = (_TYPICAL_M * log_depth.exp()).clamp(_NEAR_M, _FAR_M)
        layout_m = (depth_m * (1 + F.softplus(beyond - 3))).clamp(max=_FAR_M)
        if stance is not None:
            depth_m, layout_m = self._on_planes(depth_m, layout_m, features, cameras, stance)
        height, width = features.shape[2:]
        return LayeredEstimate(
            cameras=tuple(camera.resized(width, height) for camera in cameras),
            depth_m=depth_m,
            features=features,
            occupancy_logits=None if self.planes is None else widened(self.planes(features)),
            plane_spacing_m=None if self.planes is None else self.config.plane_spacing_m,
            log_spread=log_spread.clamp(*_LOG_SPREAD),
            layout_m=layout_m if self.config.has_layout else None,
            stance=stance,
            measured=torch.zeros_like(depth_m) if self.config.reads_measured else None,
        )

    def _on_planes(
        self,
        depth_m: Float[Tensor, "b h w"],
        layout_m: Float[Tensor, "b h w"],
        features: Float[Tensor, "b c h w"],
        cameras: tuple[Camera, ...],
        stance: Stance,
    ) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
        """Depth and the room's depth, pulled onto floor and ceiling where a pixel is believed to show them."""
        assert self.shows is not None
        planes = horizontal_planes(stance, ray_slopes(widened(features), cameras))
        seen, behind = widened(self.shows(features)).unflatten(1, (2, -1)).unbind(dim=1)
        depth_m = planes.choose(depth_m.log(), seen).exp().clamp(_NEAR_M, _FAR_M)
        layout_m = planes.choose(layout_m.log(), behind).exp().clamp(max=_FAR_M)
        return depth_m, layout_m.maximum(depth_m)

    def _known(
        self, x: Float[Tensor, "b c h w"], cameras: tuple[Camera, ...], stance: Stance | None
    ) -> Float[Tensor, "b k h w"] | None:
        """Floor and ceiling where the features are read."""
        if stance is None:
            return None
        return horizontal_planes(stance, ray_slopes(widened(x), cameras)).maps().to(x.dtype)


def faint(head: nn.Conv2d, bias: float = 0.0) -> nn.Conv2d:
    """Initialise a head so that it predicts nearly a constant; training would first have to unlearn random predictions."""
    nn.init.normal_(head.weight, std=1e-3)
    assert head.bias is not None
    nn.init.constant_(head.bias, bias)
    return head


class Reader(nn.Module):
    """Features at half the resolution of the image, which know the direction of their ray."""

    def __init__(self, num_in: int, width: int, num_known: int = 0) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(num_in + 2 + num_known, width, 3, padding=1)
        self.norm = nn.GroupNorm(max(width // 8, 1), width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "b c h w"], cameras: tuple[Camera, ...], known: Float[Tensor, "b k h w"] | None = None
    ) -> Float[Tensor, "b c2 h2 w2"]:
        x = torch.cat((x, ray_slopes(x, cameras), *([] if known is None else [known])), dim=1)
        if torch.is_grad_enabled():
            x = x.contiguous(memory_format=torch.channels_last)  # what the convolutions learn fastest in
        x = self.squeeze(x)
        x = F.interpolate(x, size=(2 * x.shape[2], 2 * x.shape[3]), mode="bilinear")
        return F.relu(x + self.conv(F.relu(self.norm(x))))
