"""The output of every trunk: feature maps at strides 4, 8, 16, and 32."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from panoptic3d.config import Config

# Input range of a trunk's weights: values in [0, 1], normalised by ImageNet's mean and deviation; or values in [-1, 1].
PixelRange = Literal["imagenet", "signed"]


_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for values in [0, 1]


def imagenet_pixels(pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """From values in [0, 1]."""
    mean, std = (torch.tensor(v, device=pixels.device)[:, None, None] for v in (_MEAN, _STD))
    return (pixels - mean) / std


@dataclass(frozen=True, eq=False)
class Pyramid:
    """Maps of one batch of images, each named by the pixels between its cells."""

    stride4: Float[Tensor, "b c4 h4 w4"]
    stride8: Float[Tensor, "b c8 h8 w8"]
    stride16: Float[Tensor, "b c16 h16 w16"]
    stride32: Float[Tensor, "b c32 h32 w32"]

    def __iter__(self):
        """From fine to coarse."""
        return iter((self.stride4, self.stride8, self.stride16, self.stride32))


@runtime_checkable
class Trunk(Protocol):
    """`channels` are those of the four maps, fine to coarse. The image is normalised as the trunk's weights want it."""

    channels: tuple[int, int, int, int]

    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> Pyramid: ...


@runtime_checkable
class PretrainedTrunk(Trunk, Protocol):
    def load_pretrained(self, file: str) -> None:
        """Weights to start a training from: a local file, or without one the trunk's pip package where there is any."""
        ...


class TrunkConfig(Config):
    """Properties of a trunk that a method needs before building it. A trunk's class has `config_kind` and `built(config)`."""

    name: str

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Number of channels of the four maps, fine to coarse."""
        raise NotImplementedError

    @property
    def pixel_range(self) -> PixelRange:
        return "imagenet"
