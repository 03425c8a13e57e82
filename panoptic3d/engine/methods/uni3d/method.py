"""Uni-3D as a method that trains: its 2D stage, or its voxel net behind a 2D stage that stays as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.config import Config
from panoptic3d.distributed import sum_over_ranks, world_size
from panoptic3d.engine.methods.base import Method, evaluating
from panoptic3d.engine.methods.uni3d.config import Uni3dSettings
from panoptic3d.engine.methods.uni3d.image_terms import Pairs, matched_pairs, query_terms
from panoptic3d.engine.methods.uni3d.truth import SegmentTruth, segment_truth
from panoptic3d.engine.methods.uni3d.voxel_terms import query_voxel_terms
from panoptic3d.errors import InputError
from panoptic3d.losses.voxel_objective import finest_stride
from panoptic3d.models.frustum_unet.query_net import QueryUNet
from panoptic3d.models.mask_transformer.joint_decoder import QueryMaps
from panoptic3d.models.mask_transformer.pixel_decoder import PixelFeatures
from panoptic3d.models.mask_transformer.stage import MaskTransformer
from panoptic3d.models.pipeline import Pipeline, needed
from panoptic3d.models.slots import FeatureLifted, FittedImage, Panoptic2D, RayEstimate, Seen
from panoptic3d.models.uni3d.build import build_uni3d
from panoptic3d.models.uni3d.config import Uni3dConfig
from panoptic3d.randomness import torch_generator
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.prediction import InstanceSurface, LevelPrediction, Levels
from panoptic3d.structures.scene import PanopticScene


@dataclass(frozen=True, eq=False)
class Seen2d:
    """Predictions of the 2D stage for a batch, and their ground truth."""

    fitted: FittedImage
    pyramid: Pyramid
    features: PixelFeatures
    layers: tuple[QueryMaps, ...]  # the last is the prediction
    truths: tuple[SegmentTruth, ...]
    num_targets: float


class Uni3dMethod(Method):
    """A part trains if any of its parameters asks for a gradient, and only the terms of such parts are computed."""

    settings_kind: ClassVar[type[Config]] = Uni3dSettings
    network: Pipeline
    network_config: Uni3dConfig

    def __init__(self, settings: Uni3dSettings) -> None:
        super().__init__()
        self.settings = settings
        self.network, self.network_config = build_uni3d(settings.network), settings.network
        self.taxonomy = settings.network.classes
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
        with evaluating(self):
            return self.network.infer(batch.image, batch.cameras)

    def train(self, mode: bool = True) -> "Uni3dMethod":
        """Parts that do not learn stay in evaluation mode."""
        super().train(mode)
        for part in ("2d", "3d"):
            if not self.trains(part):
                for module in self.parts()[part]:
                    module.eval()
        return self

    def forward(self, batch: Batch, step: int) -> Mapping[str, Tensor]:
        seen = self._seen(batch)
        terms = self._image_terms(batch, step, seen) if self.trains("2d") else {}
        if self.trains("3d"):
            terms |= self._voxel_terms(batch, step, seen)
        return terms

    def _seen(self, batch: Batch) -> Seen2d:
        trains_2d = self.trains("2d")
        if self.training and not trains_2d and self.settings.frozen_norms == "drifting":
            self.parts()["trunk"][0].train()
        fitted = self.network.fit(batch.image, batch.cameras)
        with torch.set_grad_enabled(torch.is_grad_enabled() and trains_2d):
            pyramid = self.network.trunk(fitted.pixels)
            features = self._stage.pixel_decoder(pyramid)
            layers = self._stage.joint_decoder(features, with_layers=trains_2d)
        padded = (fitted.pixels.shape[2], fitted.pixels.shape[3])
        truths = tuple(
            segment_truth(batch, member, camera, padded, self.taxonomy, self.settings.min_pixels)
            for member, camera in enumerate(fitted.cameras)
        )
        num_targets = _mean_over_ranks(sum(len(truth) for truth in truths), fitted.pixels.device)
        return Seen2d(fitted, pyramid, features, layers, truths, num_targets)

    def _image_terms(self, batch: Batch, step: int, seen: Seen2d) -> dict[str, Tensor]:
        """Sums over layers and over the pairs of the batch; of classes the mean over images."""
        config, scale = self.settings.image_terms, self._stage.config.joint_decoder.depth_scale_m
        total: dict[str, Tensor] = {}
        for member, truth in enumerate(seen.truths):
            for number, said in enumerate(seen.layers):
                stream = partial(self._stream, batch, step, member, number)
                for name, term in query_terms(said, member, truth, seen.num_targets, scale, config, stream).items():
                    _add(total, name, term / len(batch) if name == "query_class" else term)
        return total

    def _voxel_terms(self, batch: Batch, step: int, seen: Seen2d) -> dict[str, Tensor]:
        if not batch.truths:
            raise InputError("the 3D stage learns from voxels, and these samples have none; read them with voxels.")
        pairs = [self._pairs(batch, step, member, seen) for member in range(len(batch))]
        queries = tuple(seen.layers[-1].embeddings[m, rows] for m, (rows, _) in enumerate(pairs))
        net = partial(self._net_for_targets, queries, self._finest_stride(step))
        levels = self.network.complete(self._handed_on(seen), voxel_net=net).levels
        total: dict[str, Tensor] = {}
        for member, (truth, (_, targets)) in enumerate(zip(batch.truths, pairs, strict=True)):
            own = [level.of_member(member) for level in levels]
            config = self.settings.voxel_terms
            terms = query_voxel_terms(own, truth, seen.truths[member], targets, seen.num_targets, config)
            for name, term in terms.items():
                _add(total, name, term if name.startswith("query_") else term / len(batch))
        return total

    def _finest_stride(self, step: int) -> int:
        curriculum = self.settings.curriculum
        begins_at = max(curriculum.begins_at, self.first_steps.get("3d", 0))
        return finest_stride(step, curriculum.model_copy(update={"begins_at": begins_at}))

    def _pairs(self, batch: Batch, step: int, member: int, seen: Seen2d) -> Pairs:
        """The matching of the 2D stage's last layer: in 3D a query stands for the same target."""
        generator = self._stream(batch, step, member, "voxels", "matching")
        return matched_pairs(seen.layers[-1], member, seen.truths[member], self.settings.image_terms, generator)

    def _handed_on(self, seen: Seen2d) -> Seen[Panoptic2D, RayEstimate]:
        cameras = seen.fitted.cameras
        panoptic = self._stage.decide(seen.features, seen.layers[-1], cameras)
        return Seen(seen.fitted, seen.pyramid, panoptic, self.network.rays(seen.pyramid, cameras, panoptic))

    def _net_for_targets(
        self, queries: tuple[Tensor, ...], up_to_stride: int, lifted: FeatureLifted
    ) -> Levels[LevelPrediction, InstanceSurface]:
        """With the queries of the targets instead of those that the 2D stage trusts."""
        return needed(self.network.voxel_net, QueryUNet)(replace(lifted, queries=queries), up_to_stride)

    @property
    def _stage(self) -> MaskTransformer:
        return needed(self.network.panoptic, MaskTransformer)

    def _stream(self, batch: Batch, step: int, member: int, *what: str | int) -> torch.Generator:
        return torch_generator(self.settings.seed, *what, step, batch.keys[member])


def _add(total: dict[str, Tensor], name: str, term: Tensor) -> None:
    total[name] = total[name] + term if name in total else term


def _mean_over_ranks(count: int, device: torch.device) -> float:
    """At least 1, so that a sum over no pairs can be divided by it."""
    return max(float(sum_over_ranks(torch.tensor(float(count), device=device))) / world_size(), 1.0)
