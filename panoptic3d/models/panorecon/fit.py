"""Photos of any size to what the trunk was trained on."""

import math
from typing import ClassVar, Literal

import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from panoptic3d.backbones.pyramid import PixelRange, imagenet_pixels
from panoptic3d.models.pipeline_config import FitSlot, PipelineConfig
from panoptic3d.models.slots import FittedImage
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.pixel_map import PixelMap

_MULTIPLE_PX = 16  # the stride of the detector
_MIN_PX = 64


class FitConfig(FitSlot):
    name: Literal["photo"] = "photo"
    # "stretched": nearest neighbour to exactly width x height, whatever the aspect, as the released command line does.
    # "scaled": antialiased, about as many pixels, the aspect kept up to whole cells of the detector.
    resize: Literal["stretched", "scaled"] = "scaled"
    # "front3d": every photo is taken for a render of 3D-Front. "given": the camera that came with it.
    camera: Literal["front3d", "given"] = "given"
    width: int = 320
    height: int = 240


class PhotoFit:
    """Without weights: a function with its switches."""

    config_kind: ClassVar = FitConfig

    @classmethod
    def built(cls, config: FitConfig, method: PipelineConfig) -> "PhotoFit":
        return cls(config, method.pixel_range)

    def __init__(self, config: FitConfig, pixel_range: PixelRange = "imagenet") -> None:
        self.config, self.pixel_range = config, pixel_range

    def view_of(self, camera: Camera) -> Camera:
        """The size of the training images, upright for an upright photo; stretched photos come as they are."""
        if self.config.resize == "stretched":
            return camera
        long, short = max(self.config.width, self.config.height), min(self.config.width, self.config.height)
        return camera.letterboxed(*((long, short) if camera.width >= camera.height else (short, long)))

    def __call__(self, image: UInt8[Tensor, "b 3 h w"], cameras: tuple[Camera, ...]) -> FittedImage:
        pixels = image.float() / 255
        width, height = self.size_for(image.shape[3], image.shape[2])
        if (height, width) != tuple(image.shape[2:]):
            pixels = self._resized(pixels, height, width)
        return FittedImage(
            imagenet_pixels(pixels) if self.pixel_range == "imagenet" else pixels * 2 - 1,
            tuple(self._camera(camera, width, height) for camera in cameras),
            PixelMap.resized((image.shape[3], image.shape[2]), (width, height)),
        )

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        config = self.config
        if config.resize == "stretched":
            return config.width, config.height
        scale = math.sqrt(config.width * config.height / (width * height))
        fitted = [max(_MIN_PX, _MULTIPLE_PX * round(side * scale / _MULTIPLE_PX)) for side in (width, height)]
        return fitted[0], fitted[1]

    def _resized(self, pixels: Float[Tensor, "b 3 h w"], height: int, width: int) -> Float[Tensor, "b 3 h2 w2"]:
        if self.config.resize == "stretched":
            return F.interpolate(pixels, size=(height, width), mode="nearest-exact")
        return F.interpolate(pixels, size=(height, width), mode="bilinear", antialias=True)

    def _camera(self, camera: Camera, width: int, height: int) -> Camera:
        return (FRONT3D_CAMERA if self.config.camera == "front3d" else camera).resized(width, height)
