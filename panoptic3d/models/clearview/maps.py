"""What the image says: classes of its pixels, and what lies along their rays."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.geometry.precision import widened, without_autocast
from panoptic3d.models.clearview.config import RayConfig
from panoptic3d.models.slots import Panoptic2D, RayEstimate
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.instances import Instances2D

_NEAR_M, _FAR_M = 0.2, 20.0
_LOG_SPREAD = (-5.0, 1.0)
_TYPICAL_M = 2.5  # the depth that an untrained network says
_RARE = -3.0  # the logit at which the occupancy of planes starts
SEMANTICS = "semantics"  # the name of the map of class logits


@dataclass(frozen=True, eq=False, kw_only=True)
class LayeredEstimate(RayEstimate):
    """What a ray meets first, how sure that is, and where the room ends that the things hide."""

    log_spread: Float[Tensor, "b h w"]  # of the log depth: the scale of a Laplace distribution
    layout_m: Float[Tensor, "b h w"] | None  # depth of wall, floor or ceiling, never in front of `depth_m`


class PixelClasses(nn.Module):
    """Class logits at half the resolution. Things are found in the volume, hidden ones too: none are named here."""

    def __init__(self, num_in: int, num_classes: int) -> None:
        super().__init__()
        self.read = Reader(num_in, 32)
        self.classes = faint(nn.Conv2d(32, num_classes, 1))

    def forward(self, pyramid: Pyramid, cameras: tuple[Camera, ...]) -> Panoptic2D:
        device = pyramid.stride4.device
        return Panoptic2D(
            instances=tuple(Instances2D.empty(camera, device) for camera in cameras),
            maps={SEMANTICS: widened(self.classes(self.read(pyramid.stride4, cameras)))},
        )


class LayeredRays(nn.Module):
    """Metric depth with its uncertainty, the depth of the room behind the things, and occupancy of planes."""

    def __init__(self, num_in: int, config: RayConfig) -> None:
        super().__init__()
        self.config = config
        self.read = Reader(num_in, config.width)
        # Log depth, log spread, how much farther the room is.
        self.depth = faint(nn.Conv2d(config.width, 3, 3, padding=1))
        self.planes = faint(nn.Conv2d(config.width, config.num_planes, 1), _RARE) if config.has_planes else None

    def forward(self, pyramid: Pyramid, cameras: tuple[Camera, ...], panoptic: Panoptic2D) -> LayeredEstimate:
        features = self.read(pyramid.stride4, cameras)
        with without_autocast(features.device):
            log_depth, log_spread, beyond = self.depth(widened(features)).unbind(dim=1)
        depth_m = (_TYPICAL_M * log_depth.exp()).clamp(_NEAR_M, _FAR_M)
        height, width = features.shape[2:]
        return LayeredEstimate(
            cameras=tuple(camera.resized(width, height) for camera in cameras),
            depth_m=depth_m,
            features=features,
            occupancy_logits=None if self.planes is None else widened(self.planes(features)),
            plane_spacing_m=None if self.planes is None else self.config.plane_spacing_m,
            log_spread=log_spread.clamp(*_LOG_SPREAD),
            layout_m=(depth_m * (1 + F.softplus(beyond - 3))).clamp(max=_FAR_M) if self.config.has_layout else None,
        )


def faint(head: nn.Conv2d, bias: float = 0.0) -> nn.Conv2d:
    """A head that begins by saying the same everywhere, for it would first have to unlearn what it says at random."""
    nn.init.normal_(head.weight, std=1e-3)
    assert head.bias is not None
    nn.init.constant_(head.bias, bias)
    return head


class Reader(nn.Module):
    """Features at half the resolution of the image, which know the direction of their ray."""

    def __init__(self, num_in: int, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(num_in + 2, width, 3, padding=1)
        self.norm = nn.GroupNorm(max(width // 8, 1), width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"], cameras: tuple[Camera, ...]) -> Float[Tensor, "b c2 h2 w2"]:
        x = self.squeeze(torch.cat((x, ray_slopes(x, cameras)), dim=1))
        x = F.interpolate(x, size=(2 * x.shape[2], 2 * x.shape[3]), mode="bilinear")
        return F.relu(x + self.conv(F.relu(self.norm(x))))


def ray_slopes(x: Float[Tensor, "b c h w"], cameras: tuple[Camera, ...]) -> Float[Tensor, "b 2 h w"]:
    """x/z and y/z of the ray of every cell."""
    height, width = x.shape[2:]
    slopes = []
    for camera in cameras:
        own = camera.resized(width, height)
        across = (torch.arange(width, device=x.device) - own.cx_px) / own.fx_px
        down = (torch.arange(height, device=x.device) - own.cy_px) / own.fy_px
        slopes.append(torch.stack((across.expand(height, -1), down[:, None].expand(-1, width))))
    return torch.stack(slopes).to(x.dtype)
