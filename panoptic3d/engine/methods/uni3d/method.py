"""Uni-3D as a method that trains: its 2D stage, or its voxel net behind a 2D stage that stays as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from panoptic3d.config import Config
from panoptic3d.distributed import sum_over_ranks, world_size
from panoptic3d.engine.methods.base import Method
from panoptic3d.engine.methods.uni3d.config import Uni3dSettings
from panoptic3d.engine.methods.uni3d.image_terms import Pairs, matched_pairs, query_terms
from panoptic3d.engine.methods.uni3d.truth import SegmentTruth, segment_truth
from panoptic3d.engine.methods.uni3d.voxel_terms import query_voxel_terms
from panoptic3d.errors import InputError
from panoptic3d.losses.voxel_objective import finest_stride, of_member
from panoptic3d.models.mask_transformer.joint_decoder import QueryMaps
from panoptic3d.models.mask_transformer.pixel_decoder import PixelFeatures
from panoptic3d.models.mask_transformer.stage import MaskTransformer
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import FittedImage, Lifted
from panoptic3d.models.uni3d.build import TAXONOMIES, build_uni3d
from panoptic3d.models.uni3d.config import Uni3dConfig
from panoptic3d.randomness import torch_generator
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.scene import PanopticScene


class Uni3dMethod(Method):
    """A part trains if any of its parameters asks for a gradient, and only the terms of such parts are computed."""

    settings_kind: ClassVar[type[Config]] = Uni3dSettings
    network: Pipeline
    network_config: Uni3dConfig

    def __init__(self, settings: Uni3dSettings) -> None:
        super().__init__()
        self.settings = settings
        self.network, self.network_config = build_uni3d(settings.network), settings.network
        self.taxonomy = TAXONOMIES[settings.network.taxonomy]
        self.train()

    def parts(self) -> Mapping[str, Sequence[nn.Module]]:
        """The trunk, `trunk`, is also a part of `2d`: it may come from ImageNet and then learns at a tenth of the rate."""
        slots = dict(self.network.named_children())
        return {
            "trunk": (slots["trunk"],),
            "2d": (slots["trunk"], slots["panoptic"]),
            "3d": (slots["voxel_net"],),
        }

    def scenes(self, batch: Batch) -> Sequence[PanopticScene]:
        modes = {module: module.training for module in self.modules()}
        self.network.eval()
        try:
            return self.network.infer(batch.image, batch.cameras)
        finally:
            for module, mode in modes.items():
                module.training = mode

    def train(self, mode: bool = True) -> "Uni3dMethod":
        """Parts that do not learn stay in evaluation mode, unless the norms of the trunk are to drift."""
        super().train(mode)
        drifts = self.settings.frozen_norms == "drifting"
        for part in ("2d", "3d"):
            if not self.trains(part):
                for module in self.parts()[part]:
                    module.train(mode and drifts and part == "2d")
        return self

    def forward(self, batch: Batch, step: int) -> Mapping[str, Tensor]:
        fitted = self.network.fit(batch.image, batch.cameras)
        padded = (fitted.pixels.shape[2], fitted.pixels.shape[3])
        truths = [
            segment_truth(batch, member, camera, padded, self.taxonomy, self.settings.min_pixels)
            for member, camera in enumerate(fitted.cameras)
        ]
        trains_2d = self.trains("2d")
        with torch.set_grad_enabled(torch.is_grad_enabled() and trains_2d):
            features = self._stage.pixel_decoder(self.network.trunk(fitted.pixels))
            layers = self._stage.joint_decoder(features, with_layers=trains_2d)
        num_targets = _mean_over_ranks(sum(len(truth) for truth in truths), fitted.pixels.device)
        terms = self._image_terms(batch, step, layers, truths, num_targets) if trains_2d else {}
        if self.trains("3d"):
            terms |= self._voxel_terms(batch, step, fitted, features, layers[-1], truths, num_targets)
        return terms

    def _image_terms(
        self,
        batch: Batch,
        step: int,
        layers: Sequence[QueryMaps],
        truths: Sequence[SegmentTruth],
        num_targets: float,
    ) -> dict[str, Tensor]:
        """Sums over layers and over the pairs of the batch; of classes the mean over images."""
        config, scale = self.settings.image_terms, self._stage.config.joint_decoder.depth_scale_m
        total: dict[str, Tensor] = {}
        for member, truth in enumerate(truths):
            for number, said in enumerate(layers):
                stream = partial(self._stream, batch, step, member, number)
                for name, term in query_terms(said, member, truth, num_targets, scale, config, stream).items():
                    term = term / len(truths) if name == "query_class" else term
                    total[name] = total[name] + term if name in total else term
        return total

    def _voxel_terms(
        self,
        batch: Batch,
        step: int,
        fitted: FittedImage,
        features: PixelFeatures,
        said: QueryMaps,
        truths: Sequence[SegmentTruth],
        num_targets: float,
    ) -> dict[str, Tensor]:
        if not batch.truths:
            raise InputError("the 3D stage learns from voxels, and these samples have none; read them with voxels.")
        pairs = [self._pairs(batch, step, member, said, truth) for member, truth in enumerate(truths)]
        curriculum = self.settings.curriculum
        begins = max(curriculum.begins_at, self.first_steps.get("3d", 0))
        stride = finest_stride(step, curriculum.model_copy(update={"begins_at": begins}))
        levels = self.network.voxel_net(self._lifted(fitted, features, said, truths, pairs), stride)
        total: dict[str, Tensor] = {}
        for member, truth in enumerate(truths):
            own = tuple(of_member(level, member) for level in levels)
            targets = pairs[member][1]
            terms = query_voxel_terms(own, batch.truths[member], truth, targets, num_targets, self.settings.voxel_terms)
            for name, term in terms.items():
                term = term if name.startswith("query_") else term / len(truths)
                total[name] = total[name] + term if name in total else term
        return total

    def _pairs(self, batch: Batch, step: int, member: int, said: QueryMaps, truth: SegmentTruth) -> Pairs:
        generator = self._stream(batch, step, member, "voxels", "matching")
        return matched_pairs(said, member, truth, self.settings.image_terms, generator)

    def _lifted(
        self,
        fitted: FittedImage,
        features: PixelFeatures,
        said: QueryMaps,
        truths: Sequence[SegmentTruth],
        pairs: Sequence[Pairs],
    ) -> Lifted:
        """What the 2D stage hands on, with the queries of the targets instead of those that it trusts."""
        panoptic = self._stage.panoptic(features, said, fitted.cameras)
        rays = self.network.rays(None, fitted.cameras, panoptic)
        lifted = self.network.lift(rays, panoptic)
        return replace(lifted, queries=tuple(said.embeddings[m, queries] for m, (queries, _) in enumerate(pairs)))

    @property
    def _stage(self) -> MaskTransformer:
        return cast(MaskTransformer, self.network.panoptic)

    def _stream(self, batch: Batch, step: int, member: int, *what: object) -> torch.Generator:
        return torch_generator(self.settings.seed, *what, step, batch.keys[member])


def _mean_over_ranks(count: int, device: torch.device) -> float:
    """At least 1, so that a sum over no pairs can be divided by it."""
    return max(float(sum_over_ranks(torch.tensor(float(count), device=device))) / world_size(), 1.0)
