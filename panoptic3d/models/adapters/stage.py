"""A detector of another package in the panoptic slot. It reads the photo, which the trunk passes on beside its maps."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Pyramid, Trunk
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import Panoptic2D
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.instances import Instances2D

Detector = Callable[[UInt8[Tensor, "b 3 h w"], tuple[Camera, ...]], tuple[Instances2D, ...]]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # normalisation of the trunk's input


@dataclass(frozen=True, eq=False)
class PyramidWithPhoto(Pyramid):
    photo: UInt8[Tensor, "b 3 h w"]


class TrunkWithPhoto(nn.Module):
    """Any trunk whose input is normalised as ImageNet is."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.inner = trunk
        self.channels = trunk.channels

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> PyramidWithPhoto:
        mean, std = (image.new_tensor(v)[:, None, None] for v in (_MEAN, _STD))
        photo = ((image * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
        return PyramidWithPhoto(*self.inner(image), photo=photo)


class ForeignStage:
    """Wraps another package's detector. It is not a module, so that its weights are not saved in our checkpoints."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def __call__(self, pyramid: Pyramid, cameras: tuple[Camera, ...]) -> Panoptic2D:
        assert isinstance(pyramid, PyramidWithPhoto), "the trunk must be a TrunkWithPhoto"
        with torch.no_grad():
            return Panoptic2D(self.detector(pyramid.photo, cameras))


def with_detector(network: Pipeline, detector: Detector) -> Pipeline:
    """The same network with another panoptic stage: all other slots, and their weights, are shared."""
    return Pipeline(
        fit=network.fit,
        trunk=TrunkWithPhoto(network.trunk),
        panoptic=ForeignStage(detector),
        rays=network.rays,
        lift=network.lift,
        voxel_net=network.voxel_net,
        decode=network.decode,
    ).train(network.training)
