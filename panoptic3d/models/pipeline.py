"""The driver: photos and cameras to a prediction, through slots that it knows only by their protocols."""

import contextlib
from dataclasses import fields, replace
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Pyramid, Trunk
from panoptic3d.errors import InputError
from panoptic3d.models.finite import checked
from panoptic3d.models.slots import Decode, Fit, Lift, Panoptic2D, PanopticStage, RayStage, VoxelNet
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.prediction import Prediction
from panoptic3d.structures.scene import PanopticScene


class Pipeline(nn.Module):
    """Slots that are modules are registered as such, so that their weights are this module's."""

    def __init__(
        self,
        *,
        fit: Fit,
        trunk: Trunk,
        panoptic: PanopticStage,
        rays: RayStage,
        lift: Lift,
        voxel_net: VoxelNet,
        decode: Decode,
    ) -> None:
        super().__init__()
        self.fit, self.trunk, self.panoptic, self.rays = fit, trunk, panoptic, rays
        self.lift, self.voxel_net, self.decode = lift, voxel_net, decode

    def forward(
        self, image: UInt8[Tensor, "b 3 h w"], cameras: tuple[Camera, ...], up_to_stride: int = 1
    ) -> Prediction:
        return self._predicted(image, cameras, up_to_stride, torch.float32)

    def _predicted(
        self, image: UInt8[Tensor, "b 3 h w"], cameras: tuple[Camera, ...], up_to_stride: int, dtype_2d: torch.dtype
    ) -> Prediction:
        _refuse_misfits(image, cameras)
        fitted = self.fit(image, cameras)
        with _autocast(image.device, dtype_2d):
            pyramid = self.trunk(fitted.pixels)
            panoptic = self.panoptic(pyramid, fitted.cameras)
        if dtype_2d != torch.float32:
            pyramid, panoptic = Pyramid(*(stage.float() for stage in pyramid)), _in_float32(panoptic)
        rays = self.rays(pyramid, fitted.cameras, panoptic)
        lifted = self.lift(rays, panoptic)
        return Prediction(
            cameras=rays.cameras,
            grids=lifted.grids,
            depth_m=rays.depth_m,
            instances=panoptic.instances,
            levels=self.voxel_net(lifted, up_to_stride),
            maps=panoptic.maps,
        )

    @torch.inference_mode()
    def infer(
        self, image: UInt8[Tensor, "b 3 h w"], cameras: tuple[Camera, ...], dtype_2d: torch.dtype = torch.float32
    ) -> tuple[PanopticScene, ...]:
        """Decided scenes, one an image, with the cameras of the images that were given.

        The images go through one by one: a sum over the rows of a batch rounds otherwise than one over an image's own, and
        a voxel net multiplies that. So the scene of a photo has the same bits whatever stands beside it, and the voxels of
        only one are in memory. `dtype_2d` is what trunk and instances compute in. Depth stays in float32: the steps of
        bfloat16 are 3 cm at 4 m.
        """
        _refuse_misfits(image, cameras)
        alone = [
            self.decode(checked(self._predicted(image[i : i + 1], (camera,), 1, dtype_2d)))[0]
            for i, camera in enumerate(cameras)
        ]
        return tuple(replace(scene, camera=camera) for scene, camera in zip(alone, cameras, strict=True))


def _autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager:
    """Float32 leaves the caller's own autocast alone, as a training has it."""
    return contextlib.nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def _in_float32(panoptic: Panoptic2D) -> Panoptic2D:
    def cast(noun: Any) -> Any:
        values = {f.name: getattr(noun, f.name) for f in fields(noun)}
        return replace(
            noun, **{n: v.float() for n, v in values.items() if isinstance(v, Tensor) and v.is_floating_point()}
        )

    maps = {name: value.float() if value.is_floating_point() else value for name, value in panoptic.maps.items()}
    return Panoptic2D(tuple(cast(instances) for instances in panoptic.instances), maps)


def _refuse_misfits(image: Tensor, cameras: tuple[Camera, ...]) -> None:
    seen = {(camera.width, camera.height) for camera in cameras}
    size = (image.shape[3], image.shape[2])
    if len(cameras) != len(image) or seen - {size}:
        raise InputError(
            f"{len(image)} images of {size[0]}x{size[1]} come with {len(cameras)} cameras of "
            f"{sorted(f'{w}x{h}' for w, h in seen)}; give one camera of the image's size for each."
        )
