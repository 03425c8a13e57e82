"""Depth of a photo that comes from elsewhere: a sensor, another network, a file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from jaxtyping import Float32
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.given import are_finite_numbers, is_finite_number
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
    is_checked: bool = False  # refuse it if it looks like the depth of another photo

    def seen_from(self, before: PixelMap) -> "GivenDepth":
        """The same depth for an image from which `before` leads to the one that it was given for."""
        return replace(self, from_image=before.then(self.from_image))


@dataclass(frozen=True)
class KnownLength:
    """The distance between what two pixels (x, y) show."""

    ends_px: tuple[tuple[float, float], tuple[float, float]]
    metres: float

    def __post_init__(self) -> None:
        are_pixels = isinstance(self.ends_px, Sequence) and len(self.ends_px) == 2
        if not are_pixels or not all(are_finite_numbers(end, 2) for end in self.ends_px):
            raise InputError(f"a length lies between two pixels ((x, y), (x, y)) of the photo, not {self.ends_px!r}.")
        is_length = is_finite_number(self.metres) and 0.01 <= self.metres <= 100
        if not is_length or not all(-1e6 < x < 1e6 for end in self.ends_px for x in end):
            raise InputError(
                f"a length of {self.metres!r} m between {self.ends_px[0]} and {self.ends_px[1]} is none of a room; "
                "give two pixels of the photo and the metres between what they show."
            )

    @classmethod
    def parse(cls, text: str, option: str = "--known-length") -> "KnownLength":
        """X1,Y1,X2,Y2,METRES, as people type it."""
        try:
            x1, y1, x2, y2, metres = (float(word) for word in text.split(","))
        except ValueError:
            raise InputError(f"{option} is {text!r:.80}; give five numbers X1,Y1,X2,Y2,METRES.") from None
        if min(x1, y1, x2, y2) < 0:
            raise InputError(
                f"{option} is {text!r:.80}, which begins or ends outside of the photo; pixels count from 0."
            )
        return cls(((x1, y1), (x2, y2)), metres)

    def seen_from(self, way: PixelMap) -> "KnownLength":
        """The same points in another picture, to which `way` leads."""
        return replace(self, ends_px=(way.at(self.ends_px[0]), way.at(self.ends_px[1])))


@dataclass(frozen=True, eq=False)
class SceneHint:
    """What a person or a sensor knows of a scene beside its photo."""

    depth: GivenDepth | None = None
    camera_height_m: float | None = None  # above the floor
    known_length: KnownLength | None = None
