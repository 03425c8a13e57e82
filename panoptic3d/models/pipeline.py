"""The driver: photos and cameras to a prediction, through slots that it knows only by their protocols."""

from dataclasses import replace

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Trunk
from panoptic3d.errors import InputError
from panoptic3d.models.slots import Decode, Fit, Lift, PanopticStage, RayStage, VoxelNet
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
        _refuse_misfits(image, cameras)
        fitted = self.fit(image, cameras)
        pyramid = self.trunk(fitted.pixels)
        panoptic = self.panoptic(pyramid, fitted.cameras)
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
    def infer(self, image: UInt8[Tensor, "b 3 h w"], cameras: tuple[Camera, ...]) -> tuple[PanopticScene, ...]:
        """Decided scenes, one an image, with the cameras of the images that were given.

        The images go through one by one: a sum over the rows of a batch rounds otherwise than one over an image's own, and
        a voxel net multiplies that. So the scene of a photo has the same bits whatever stands beside it, and the voxels of
        only one are in memory.
        """
        _refuse_misfits(image, cameras)
        alone = [self.decode(self(image[i : i + 1], (camera,)))[0] for i, camera in enumerate(cameras)]
        return tuple(replace(scene, camera=camera) for scene, camera in zip(alone, cameras, strict=True))


def _refuse_misfits(image: Tensor, cameras: tuple[Camera, ...]) -> None:
    seen = {(camera.width, camera.height) for camera in cameras}
    size = (image.shape[3], image.shape[2])
    if len(cameras) != len(image) or seen - {size}:
        raise InputError(
            f"{len(image)} images of {size[0]}x{size[1]} come with {len(cameras)} cameras of "
            f"{sorted(f'{w}x{h}' for w, h in seen)}; give one camera of the image's size for each."
        )
