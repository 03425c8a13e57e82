"""Depth of a photo that comes from elsewhere: a sensor, another network, a file."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from jaxtyping import Float32
from torch import Tensor

from panoptic3d.structures.pixel_map import PixelMap

# What the numbers mean. `metric`: metres. `scale`: metres times an unknown factor. `affine`: depth up to scale and shift.
# `disparity`: one by depth up to scale and shift, so that larger is nearer.
DepthKind = Literal["metric", "scale", "affine", "disparity"]
DEPTH_KINDS: tuple[DepthKind, ...] = get_args(DepthKind)
MEASURED_LOG_SPREAD = -4.0  # of a depth that was measured: errors of two per cent


@dataclass(frozen=True, eq=False)
class GivenDepth:
    """Along the optical axis at a resolution of its own; NaN where nothing is known."""

    values: Float32[Tensor, "h w"]
    from_image: PixelMap  # from the pixels of the image that a network is given to those of `values`
    kind: DepthKind = "metric"
    # How sure it is: the scale of a Laplace distribution of the log depth. None: as far as it is from the network's own.
    log_spread: float | None = MEASURED_LOG_SPREAD

    def seen_from(self, before: PixelMap) -> "GivenDepth":
        """The same depth for an image from which `before` leads to the one that it was given for."""
        return replace(self, from_image=before.then(self.from_image))


@dataclass(frozen=True, eq=False)
class SceneHint:
    """What a person or a sensor knows of a scene beside its photo."""

    depth: GivenDepth | None = None
    camera_height_m: float | None = None  # above the floor
