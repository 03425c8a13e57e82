"""How the camera stands in its room: which way is down, how far below the floor lies and how far above the ceiling.

A photo alone does not give its scale, but a room does: doors, seats and tables have usual heights. One small head reads it
from the whole image. Along the ray of each pixel it gives the depth of the floor's and of the ceiling's plane, between which
and a free depth the depth head chooses: a floor is flat without having to be learnt pixel by pixel.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.geometry.precision import widened
from panoptic3d.models.clearview.mirror import geometric_mean, turned_back
from panoptic3d.models.clearview.rays import ray_slopes
from panoptic3d.structures.camera import Camera

_CELLS = 4  # the image is pooled to this many cells per side
_TYPICAL_FLOOR_M, _TYPICAL_CEILING_M = 1.1, 1.4
_MIN_M, _MAX_M = 0.15, 6.0
_MIN_SLOPE = 0.02  # rays that fall less never reach the floor in a room
_UNREACHED = -1e4  # the logit of a plane that a ray does not reach
NUM_PLANES = 2


@dataclass(frozen=True, eq=False)
class Stance:
    down: Float[Tensor, "b 3"]  # unit vectors in the camera's frame
    floor_m: Float[Tensor, " b"]  # of the camera above the floor
    ceiling_m: Float[Tensor, " b"]  # of the ceiling above the camera

    def scaled(self, factor: float) -> "Stance":
        """The stance in a room that is larger by `factor`."""
        return Stance(self.down, self.floor_m * factor, self.ceiling_m * factor)

    def averaged_with(self, mirrored: "Stance") -> "Stance":
        """The mean of this stance and that of the mirror image."""
        return Stance(
            F.normalize(self.down + turned_back(mirrored.down), dim=1),
            geometric_mean(self.floor_m, mirrored.floor_m),
            geometric_mean(self.ceiling_m, mirrored.ceiling_m),
        )

    def detached(self) -> "Stance":
        return Stance(self.down.detach(), self.floor_m.detach(), self.ceiling_m.detach())


@dataclass(frozen=True, eq=False)
class HorizontalPlanes:
    """Floor and ceiling along the ray of each pixel."""

    slope: Float[Tensor, "b h w"]  # how far a ray falls per metre of depth
    log_depth: Float[Tensor, "b 2 h w"]
    is_reached: Tensor  # bool, b 2 h w

    def maps(self) -> Float[Tensor, "b 4 h w"]:
        """What a convolution may read of them."""
        reached = torch.where(self.is_reached, self.log_depth, math.log(_FAR_M))
        far = self.is_reached.sum(dim=1, keepdim=True).to(reached.dtype)
        return torch.cat((self.slope[:, None], far, reached), dim=1)

    def choose(self, free: Float[Tensor, "b h w"], logits: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b h w"]:
        """The mean of log depths by what a pixel is believed to show: something of its own, the floor, the ceiling."""
        masked = torch.where(self.is_reached, logits[:, 1:], _UNREACHED)
        share = torch.cat((logits[:, :1], masked), dim=1).softmax(dim=1)
        return (share * torch.cat((free[:, None], self.log_depth), dim=1)).sum(dim=1)


_NEAR_M, _FAR_M = 0.2, 20.0


class StanceHead(nn.Module):
    def __init__(self, num_in: int, width: int = 24) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(num_in + 2, width, 1)
        self.hidden = nn.Linear(width * _CELLS**2 + 4, 128)
        self.said = nn.Linear(128, 5)
        nn.init.normal_(self.said.weight, std=1e-3)
        nn.init.zeros_(self.said.bias)

    def forward(self, coarsest: Float[Tensor, "b c h w"], cameras: tuple[Camera, ...]) -> Stance:
        slopes = ray_slopes(coarsest, cameras)
        cells = F.relu(self.squeeze(torch.cat((coarsest, slopes), dim=1)))
        pooled = F.adaptive_avg_pool2d(cells, _CELLS).flatten(1)
        edges = torch.cat((slopes.amin(dim=(2, 3)), slopes.amax(dim=(2, 3))), dim=1)
        said = widened(self.said(F.relu(self.hidden(torch.cat((pooled, edges), dim=1)))))
        level = said.new_tensor([0.0, 1.0, 0.0])
        floor_m, ceiling_m = (
            (typical * number.exp()).clamp(_MIN_M, _MAX_M)
            for typical, number in ((_TYPICAL_FLOOR_M, said[:, 3]), (_TYPICAL_CEILING_M, said[:, 4]))
        )
        return Stance(F.normalize(level + said[:, :3], dim=1), floor_m, ceiling_m)


def horizontal_planes(stance: Stance, slopes: Float[Tensor, "b 2 h w"]) -> HorizontalPlanes:
    down = stance.down[:, :, None, None]
    slope = down[:, 0] * slopes[:, 0] + down[:, 1] * slopes[:, 1] + down[:, 2]
    falls = torch.stack((slope, -slope), dim=1)
    is_reached = falls > _MIN_SLOPE
    heights = torch.stack((stance.floor_m, stance.ceiling_m), dim=1)[:, :, None, None]
    depth_m = (heights / torch.where(is_reached, falls, 1.0)).clamp(_NEAR_M, _FAR_M)
    return HorizontalPlanes(slope, depth_m.log(), is_reached)
