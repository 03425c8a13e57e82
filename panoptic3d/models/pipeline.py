"""The pipeline: photos and cameras to a prediction, through slots that it knows only by their protocols.

It has two halves, `see` (2D) and `complete` (3D). Between them maps may be exchanged, and in either half a caller may put
something of its own in place of a slot: that is how training, ground truth and measured depth drive the same network.
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, TypeVar, overload

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Trunk
from panoptic3d.errors import ConfigError, InputError
from panoptic3d.models.finite import checked
from panoptic3d.models.slots import (
    Decode,
    Fit,
    FittedImage,
    LevelsT,
    Lift,
    LiftedT,
    PanopticStage,
    PanopticT,
    RaysT,
    RayStage,
    Seen,
    VoxelNet,
)
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.moving import map_tensors
from panoptic3d.structures.pixel_map import DepthMap, PixelMap
from panoptic3d.structures.prediction import LevelPrediction, Levels, Prediction
from panoptic3d.structures.scene import PanopticScene

FillingT = TypeVar("FillingT")
OtherLevelsT = TypeVar("OtherLevelsT", bound=Levels[LevelPrediction, LevelPrediction])


class Pipeline(nn.Module, Generic[PanopticT, RaysT, LiftedT, LevelsT]):
    """Slots that are modules are registered as such, so that their weights are this module's."""

    def __init__(
        self,
        *,
        fit: Fit,
        trunk: Trunk,
        panoptic: PanopticStage[PanopticT],
        rays: RayStage[PanopticT, RaysT],
        lift: Lift[PanopticT, RaysT, LiftedT],
        voxel_net: VoxelNet[LiftedT, LevelsT],
        decode: Decode[LevelsT],
    ) -> None:
        super().__init__()
        self.fit, self.trunk, self.panoptic, self.rays = fit, trunk, panoptic, rays
        self.lift, self.voxel_net, self.decode = lift, voxel_net, decode

    def see(
        self,
        image: UInt8[Tensor, "b 3 h w"],
        cameras: tuple[Camera, ...],
        *,
        panoptic: PanopticStage[PanopticT] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Seen[PanopticT, RaysT]:
        """`panoptic` stands in for the slot. `dtype` is what trunk and instances compute in; depth is always float32."""
        _refuse_misfits(image, cameras)
        fitted = self.fit(image, cameras)
        with _autocast(image.device, dtype):
            pyramid = self.trunk(fitted.pixels)
            found = (panoptic or self.panoptic)(pyramid, fitted.cameras)
        if dtype != torch.float32:
            pyramid, found = map_tensors(pyramid, _float32), map_tensors(found, _float32)
        return Seen(fitted, pyramid, found, self.rays(pyramid, fitted.cameras, found))

    @overload
    def complete(self, seen: Seen[PanopticT, RaysT]) -> Prediction[LevelsT]: ...

    @overload
    def complete(
        self, seen: Seen[PanopticT, RaysT], *, voxel_net: VoxelNet[LiftedT, OtherLevelsT]
    ) -> Prediction[OtherLevelsT]: ...

    def complete(
        self, seen: Seen[PanopticT, RaysT], *, voxel_net: VoxelNet[LiftedT, Any] | None = None
    ) -> Prediction[Any]:
        """`voxel_net` stands in for the slot, such as the slot's own with a level at which to end."""
        rays, panoptic = seen.rays, seen.panoptic
        lifted = self.lift(rays, panoptic, seen.grids)
        return Prediction(
            cameras=rays.cameras,
            grids=lifted.grids,
            depth_m=rays.depth_m,
            instances=panoptic.instances,
            levels=(voxel_net or self.voxel_net)(lifted),
            maps=panoptic.maps,
            log_spread=rays.known_spread,
        )

    def forward(self, image: UInt8[Tensor, "b 3 h w"], cameras: tuple[Camera, ...]) -> Prediction[LevelsT]:
        return self.complete(self.see(image, cameras))

    @torch.inference_mode()
    def infer(
        self,
        image: UInt8[Tensor, "b 3 h w"],
        cameras: tuple[Camera, ...],
        dtype_2d: torch.dtype = torch.float32,
        exchange: Callable[[Seen[PanopticT, RaysT], int], Seen[PanopticT, RaysT]] | None = None,
    ) -> tuple[PanopticScene, ...]:
        """Predict and decode: one scene per image, in the camera of the given image.

        The images go through one by one: a sum over the rows of a batch rounds otherwise than one over an image's own, and
        a voxel net multiplies that. So the scene of a photo has the same bits whatever stands beside it, and the voxels of
        only one are in memory. `exchange` is given what was seen of each image, and its number, and says what to go on with.
        The steps of bfloat16 are 3 cm at 4 m, which is why depth stays in float32.
        """
        _refuse_misfits(image, cameras)
        scenes = []
        for number, camera in enumerate(cameras):
            seen = self.see(image[number : number + 1], (camera,), dtype=dtype_2d)
            prediction = self.complete(seen if exchange is None else exchange(seen, number))
            (scene,) = self.decode(checked(prediction))
            scenes.append(replace(scene, camera=camera, depth_map=depth_map_of(prediction, seen.fitted, 0)))
        return tuple(scenes)


def needed(filling: object, kind: type[FillingT]) -> FillingT:
    """A slot's filling, for training that looks inside of it."""
    if not isinstance(filling, kind):
        raise ConfigError(
            f"this training looks inside of {kind.__name__} and the config fills the slot with {type(filling).__name__}; "
            "give that slot back, or train by a method of your own."
        )
    return filling


def depth_map_of(prediction: Prediction[Any], fitted: FittedImage, member: int) -> DepthMap:
    """The depth of one image, which knows the way from the pixels of its photo."""
    depth_m, spread = prediction.depth_m[member], prediction.log_spread
    to_map = PixelMap.between(fitted.cameras[member], prediction.cameras[member])
    return DepthMap(depth_m, fitted.from_photo.then(to_map), None if spread is None else spread[member])


def _autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager:
    """Float32 leaves the caller's own autocast alone, as a training has it."""
    return contextlib.nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def _float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _refuse_misfits(image: Tensor, cameras: tuple[Camera, ...]) -> None:
    seen = {(camera.width, camera.height) for camera in cameras}
    size = (image.shape[3], image.shape[2])
    if len(cameras) != len(image) or seen - {size}:
        raise InputError(
            f"{len(image)} images of {size[0]}x{size[1]} come with {len(cameras)} cameras of "
            f"{sorted(f'{w}x{h}' for w, h in seen)}; give one camera of the image's size for each."
        )
