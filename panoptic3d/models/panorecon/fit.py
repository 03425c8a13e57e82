"""Photos of any size to what the trunk was trained on."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from panoptic3d.config import Config
from panoptic3d.models.slots import FittedImage
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.pixel_map import PixelMap

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for values in [0, 1]
_MULTIPLE_PX = 16  # the stride of the detector
_MIN_PX = 64


class FitConfig(Config):
    # "stretched": nearest neighbour to exactly width x height, whatever the aspect, as the released command line does.
    # "scaled": antialiased, about as many pixels, the aspect kept up to whole cells of the detector.
    resize: Literal["stretched", "scaled"] = "scaled"
    # "front3d": every photo is taken for a render of 3D-Front. "given": the camera that came with it.
    camera: Literal["front3d", "given"] = "given"
    width: int = 320
    height: int = 240


class PhotoFit:
    """Without weights: a function with its switches."""

    def __init__(self, config: FitConfig) -> None:
        self.config = config

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
            _normalised(pixels),
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


def _normalised(pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    mean, std = (torch.tensor(v, device=pixels.device)[:, None, None] for v in (_MEAN, _STD))
    return (pixels - mean) / std
