"""Photos of any size to pixels in [-1, 1], about as many as the network was trained on."""

import math
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from panoptic3d.backbones.pyramid import PixelRange, imagenet_pixels
from panoptic3d.models.clearview.config import FitConfig
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.slots import FittedImage
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.pixel_map import PixelMap

_MULTIPLE_PX, _MIN_PX = 4, 32


class ScaledFit:
    config_kind: ClassVar = FitConfig

    @classmethod
    def built(cls, config: FitConfig, method: PipelineConfig) -> "ScaledFit":
        return cls(config, method.pixel_range)

    def __init__(self, config: FitConfig, pixel_range: PixelRange = "signed") -> None:
        self.config, self.pixel_range = config, pixel_range

    def view_of(self, camera: Camera) -> Camera:
        return camera

    def __call__(self, image: UInt8[Tensor, "b 3 h w"], cameras: tuple[Camera, ...]) -> FittedImage:
        width, height = self.size_for(image.shape[3], image.shape[2])
        pixels = image.float() / 127.5 - 1 if self.pixel_range == "signed" else imagenet_pixels(image.float() / 255)
        if (height, width) != tuple(image.shape[2:]):
            pixels = F.interpolate(pixels, size=(height, width), mode="bilinear", antialias=True)
        return FittedImage(
            pixels,
            tuple(camera.resized(width, height) for camera in cameras),
            PixelMap.resized((image.shape[3], image.shape[2]), (width, height)),
        )

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        scale = math.sqrt(self.config.width * self.config.height / (width * height))
        fitted = [max(_MIN_PX, _MULTIPLE_PX * round(side * scale / _MULTIPLE_PX)) for side in (width, height)]
        return fitted[0], fitted[1]
