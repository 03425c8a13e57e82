"""PanoRecon as a method that trains: its 2D stage, its 3D stage on a frozen 2D stage, or both at once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.config import Config
from panoptic3d.engine.methods.base import evaluating
from panoptic3d.engine.methods.panorecon.config import PanoReconSettings
from panoptic3d.engine.methods.panorecon.detection import detection_terms
from panoptic3d.engine.methods.panorecon.image_truth import (
    ImageTruth,
    channel_of,
    image_truth,
    matched,
    numbered,
    shuffled_numbers,
)
from panoptic3d.engine.methods.panorecon.planes import plane_terms, with_true_planes
from panoptic3d.engine.methods.panorecon.voxels import voxel_terms_of_samples
from panoptic3d.engine.methods.two_stages import TwoStages, add_terms, mean_terms, no_panoptic
from panoptic3d.errors import InputError
from panoptic3d.losses.depth_terms import depth_terms
from panoptic3d.losses.voxel_objective import finest_stride
from panoptic3d.models.frustum_unet.net import FrustumUNet
from panoptic3d.models.mask_rcnn.stage import MaskRcnn
from panoptic3d.models.panorecon.build import PanoReconPipeline, build_panorecon
from panoptic3d.models.panorecon.config import PanoReconConfig
from panoptic3d.models.pipeline import needed
from panoptic3d.models.slots import Panoptic2D, RayEstimate, Seen
from panoptic3d.randomness import torch_generator
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.scene import PanopticScene

PanoReconSeen = Seen[Panoptic2D, RayEstimate]


class PanoReconMethod(TwoStages):
    settings_kind: ClassVar[type[Config]] = PanoReconSettings
    network: PanoReconPipeline
    network_config: PanoReconConfig

    def __init__(self, settings: PanoReconSettings) -> None:
        super().__init__()
        self.settings = settings
        self.network = build_panorecon(settings.network)
        self.network_config = settings.network
        self.taxonomy = settings.network.classes
        self.train()

    def forward(self, batch: Batch, step: int) -> Mapping[str, Tensor]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.trains("2d")):
            seen = self.network.see(batch.image, batch.cameras, panoptic=no_panoptic)
        truths = self._image_truths(batch, seen)
        samples: list[dict[str, Tensor]] = [{} for _ in truths]
        if self.trains("2d"):
            add_terms(samples, self._image_terms(batch, step, seen, truths))
        if self.trains("3d"):
            add_terms(samples, self._voxel_terms(batch, step, seen, truths))
        return mean_terms(samples)

    @torch.inference_mode()
    def scenes_given_image_truth(self, batch: Batch) -> Sequence[PanopticScene]:
        """With true depth and true masks in place of the 2D stage: what the 3D stage is worth by itself."""
        with evaluating(self):
            scenes = self.network.decode(self.network.complete(self.given_image_truth(batch)))
        return tuple(replace(scene, camera=camera) for scene, camera in zip(scenes, batch.cameras, strict=True))

    @torch.no_grad()
    def given_image_truth(self, batch: Batch) -> PanoReconSeen:
        """The 2D stage's output with true depth and true instances, and true planes if the rays have planes."""
        seen = self.network.see(batch.image, batch.cameras, panoptic=no_panoptic)
        truths = self._image_truths(batch, seen)
        found = tuple(self._true_instances(truth, truth.things.numbers()) for truth in truths)
        rays = replace(seen.rays, depth_m=torch.stack([truth.depth_m for truth in truths]))
        rays = with_true_planes(batch, rays, truths, self.settings.network)
        return replace(seen, rays=rays, panoptic=Panoptic2D(found))

    def _image_truths(self, batch: Batch, seen: PanoReconSeen) -> tuple[ImageTruth, ...]:
        supply = self.settings.supply
        size = (seen.rays.depth_m.shape[1], seen.rays.depth_m.shape[2])
        return tuple(
            image_truth(batch, member, camera, size, self.taxonomy, supply.min_pixels, supply.max_instances)
            for member, camera in enumerate(seen.fitted.cameras)
        )

    def _image_terms(
        self, batch: Batch, step: int, seen: PanoReconSeen, truths: Sequence[ImageTruth]
    ) -> list[dict[str, Tensor]]:
        config = self.settings.image_terms
        stream = partial(self._stream, batch, step)
        found = detection_terms(self._detector, seen.pyramid.stride16, truths, config, stream)
        terms = plane_terms(batch, seen.rays, truths, self.settings.network, config.planes_weight)
        for member, truth in enumerate(truths):
            depth = depth_terms(seen.rays.depth_m[member][None], truth.depth_m[None])
            terms[member] |= {name: config.depth_weight * term for name, term in depth.items()}
            terms[member] |= {name: config.detection_weight * term for name, term in found[member].items()}
        return terms

    def _voxel_terms(
        self, batch: Batch, step: int, seen: PanoReconSeen, truths: Sequence[ImageTruth]
    ) -> list[dict[str, Tensor]]:
        if not batch.truths:
            raise InputError("the 3D stage learns from voxels, and these samples have none; read them with voxels.")
        numbers = [self._numbers(batch, step, member, truth) for member, truth in enumerate(truths)]
        net = partial(
            needed(self.network.voxel_net, FrustumUNet), up_to_stride=finest_stride(step, self.settings.curriculum)
        )
        levels = self.network.complete(self._supplied(batch, seen, truths, numbers), voxel_net=net).levels
        channels = [{i: channel_of(n, self._num_channels) for i, n in each.items()} for each in numbers]
        return voxel_terms_of_samples(levels, batch.truths, channels, self.settings.voxel_terms)

    def _supplied(
        self, batch: Batch, seen: PanoReconSeen, truths: Sequence[ImageTruth], numbers: Sequence[Mapping[int, int]]
    ) -> PanoReconSeen:
        supply, rays = self.settings.supply, seen.rays
        if supply.depth == "truth":
            rays = replace(rays, depth_m=torch.stack([truth.depth_m for truth in truths]))
        if supply.planes == "truth":
            rays = with_true_planes(batch, rays, truths, self.settings.network)
        if supply.instances == "truth":
            given = tuple(self._true_instances(t, n) for t, n in zip(truths, numbers, strict=True))
        else:
            found = self._detected(seen.pyramid, truths)
            given = tuple(self._matched(f, t, n) for f, t, n in zip(found, truths, numbers, strict=True))
        return replace(seen, rays=rays, panoptic=Panoptic2D(given))

    @torch.no_grad()
    def _detected(self, pyramid: Pyramid, truths: Sequence[ImageTruth]) -> tuple[Instances2D, ...]:
        """As in evaluation, whatever else the detector is doing."""
        with evaluating(self._detector):
            return self._detector(pyramid, tuple(truth.camera for truth in truths)).instances

    def _matched(self, found: Instances2D, truth: ImageTruth, numbers: Mapping[int, int]) -> Instances2D:
        rows = matched(found, truth.things, takes_best=self.settings.supply.matching == "best")
        masks = {numbers[instance]: found.masks[row] for instance, row in rows.items()}
        return numbered(masks, truth.camera, found.masks.device)

    def _true_instances(self, truth: ImageTruth, numbers: Mapping[int, int]) -> Instances2D:
        masks: dict[int, Float[Tensor, "h w"]] = {
            numbers[instance]: mask.float() for instance, mask in zip(truth.things.ids, truth.things.masks, strict=True)
        }
        return numbered(masks, truth.camera, truth.depth_m.device)

    def _numbers(self, batch: Batch, step: int, member: int, truth: ImageTruth) -> dict[int, int]:
        if self.settings.supply.numbers == "in-order":
            return truth.things.numbers()
        return shuffled_numbers(truth.things, self._num_channels, self._stream(batch, step, "numbers", member))

    @property
    def _detector(self) -> MaskRcnn:
        return needed(self.network.panoptic, MaskRcnn)

    @property
    def _num_channels(self) -> int:
        """Number of instance channels, without the channel for "no instance"."""
        return self.settings.network.lift.widths(self.settings.network)["instances"] - 1

    def _stream(self, batch: Batch, step: int, what: str, member: int) -> torch.Generator:
        return torch_generator(self.settings.seed, what, step, batch.keys[member])
