"""Photos of any size to what the trunk was trained on: the shorter side to 240 pixels, padded to whole cells of stride 32."""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from pydantic import Field
from torch import Tensor

from panoptic3d.models.pipeline_config import FitSlot, PipelineConfig
from panoptic3d.models.slots import FittedImage
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.pixel_map import PixelMap

_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet, for values in [0, 255]
_MULTIPLE_PX = 32  # the coarsest map of the trunk
_MIN_PX = 32


class PaddedFitConfig(FitSlot):
    name: Literal["padded"] = "padded"
    # "front3d": every photo is taken for a render of 3D-Front, as the released demo does. "given": its own camera.
    camera: Literal["front3d", "given"] = "given"
    shorter_px: int = Field(default=240, ge=_MIN_PX)
    longer_px: int = Field(default=960, ge=_MIN_PX)  # at most


class PaddedFit:
    """Without weights. The cameras are those of the picture without its padding, which holds the mean colour."""

    config_kind: ClassVar = PaddedFitConfig

    @classmethod
    def built(cls, config: PaddedFitConfig, method: PipelineConfig) -> "PaddedFit":
        return cls(config)

    def __init__(self, config: PaddedFitConfig) -> None:
        self.config = config

    def view_of(self, camera: Camera) -> Camera:
        return camera

    def __call__(self, image: UInt8[Tensor, "b 3 h w"], cameras: tuple[Camera, ...]) -> FittedImage:
        size = (image.shape[3], image.shape[2])
        width, height = self.size_for(*size)
        if (height, width) != tuple(image.shape[2:]):
            image = F.interpolate(image, size=(height, width), mode="bilinear", antialias=True)
        right, below = (-n % _MULTIPLE_PX for n in (width, height))
        pixels = F.pad(_normalised(image), (0, right, 0, below))
        return FittedImage(
            pixels,
            tuple(self._camera(camera, width, height) for camera in cameras),
            PixelMap.resized(size, (width, height)),
        )

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        """Even, so that a map of half the resolution covers the picture."""
        scale = min(self.config.shorter_px / min(width, height), self.config.longer_px / max(width, height))
        fitted = [max(_MIN_PX, 2 * int(side * scale / 2 + 0.5)) for side in (width, height)]
        return fitted[0], fitted[1]

    def _camera(self, camera: Camera, width: int, height: int) -> Camera:
        return (FRONT3D_CAMERA if self.config.camera == "front3d" else camera).resized(width, height)


def _normalised(pixels: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    mean, std = (torch.tensor(v, device=pixels.device)[:, None, None] for v in (_MEAN, _STD))
    return (pixels - mean) / std
