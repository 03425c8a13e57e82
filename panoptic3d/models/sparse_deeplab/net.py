"""Lifted features to semantics, offsets, occupancy and distance at 6 cm."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.slots import OccupancyLifted
from panoptic3d.models.sparse_deeplab.config import SparseDeepLabConfig
from panoptic3d.models.sparse_deeplab.masks import Region, at_stride, region_around
from panoptic3d.models.sparse_deeplab.predictor import UP, Predictor, Step
from panoptic3d.models.sparse_deeplab.trunk import SparseTrunk, TrunkLevel
from panoptic3d.sparse import PlanBook, generated, mirrored, pruned, union
from panoptic3d.structures.prediction import CentreLevel, LevelPrediction, Levels
from panoptic3d.structures.sparse_voxels import SparseVoxels

MIRRORED = (0, 1)  # axes that run the other way in the released order
SEMANTIC, HEAT, OFFSETS, OCCUPANCY, DISTANCE = "semantic", "centre_heat", "centre_offsets", "occupancy", "distance"


@dataclass(frozen=True, eq=False)
class Inside:
    """What goes into the network, in the order of its axes."""

    voxels: SparseVoxels
    features: Float[Tensor, "n f"]
    frustum: Bool[Tensor, "b x y z"]
    region: Region


class SparseDeepLab(nn.Module):
    config_kind: ClassVar = SparseDeepLabConfig

    @classmethod
    def built(cls, config: SparseDeepLabConfig, method: PipelineConfig) -> "SparseDeepLab":
        return cls(config)

    def __init__(self, config: SparseDeepLabConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = SparseTrunk(config)
        lifted = (config.num_classes + 3,) if config.finest_stride == 1 else ()
        channels = (*reversed(self.trunk.channels), *lifted)
        self.semantic = Predictor(channels, {SEMANTIC: config.num_classes}, config.semantic)
        self.instance = Predictor(channels, {HEAT: 1, OFFSETS: 3}, config.instance)
        self.geometry = Predictor(channels, {OCCUPANCY: 1, DISTANCE: 1}, config.geometry)

    def forward(self, lifted: OccupancyLifted) -> Levels[LevelPrediction, CentreLevel]:
        """One level of predictions. The heat map of centres is computed only for the loss, because no decoder reads it."""
        inside = self.turned(lifted)
        book = PlanBook(self.config.sparse)
        levels = self.trunk(inside.features, inside.voxels, book)
        steps = self.steps(levels, inside)
        skips = [levels[2].features, levels[1].features, levels[0].features, inside.features][: len(steps)]
        is_learning = self.training or torch.is_grad_enabled()
        wanted = (SEMANTIC, OFFSETS, OCCUPANCY, DISTANCE, *((HEAT,) if is_learning else ()))
        heads: dict[str, Tensor] = {}
        for predictor in (self.semantic, self.instance, self.geometry):
            heads |= predictor(levels[3].features, skips, steps, book, wanted)
        return Levels((), self.level(heads, steps[-1].together, inside.region))

    def turned(self, lifted: OccupancyLifted) -> Inside:
        """The published weights see the volume mirrored along x and y."""
        voxels, features, frustum = lifted.voxels, lifted.features, lifted.frustum
        if self.config.frame == "released":
            voxels, rows = mirrored(voxels, MIRRORED)
            features, frustum = features[rows], frustum.flip(1, 2)
        return Inside(voxels, features, frustum, region_around(voxels, frustum, self.config.margin_vox))

    def asked_cells(self, lifted: OccupancyLifted) -> Int64[Tensor, "n 4"]:
        """The finest voxels (batch, i, j, k) that the network predicts, camera aligned; the loss reads them."""
        cells = self.turned(lifted).region.cells
        if self.config.frame == "released":
            for axis in MIRRORED:
                cells[:, 1 + axis] = lifted.voxels.shape[axis] - 1 - cells[:, 1 + axis]
        return cells

    def steps(self, levels: tuple[TrunkLevel, ...], inside: Inside) -> list[Step]:
        """The voxels of every step up: the same for the three predictors."""
        skips = [levels[2].voxels, levels[1].voxels, levels[0].voxels, inside.voxels]
        steps, coarse = [], levels[3].voxels
        for stride, skip in zip(self.config.strides, skips, strict=False):
            allowed = at_stride(inside.region, inside.frustum, stride)
            candidates = generated(coarse, UP, (skip.origin, skip.shape))
            made = pruned(candidates, allowed.holds(candidates.coords))
            together = union(made, skip)  # a skip's voxels stay, wherever they lie
            steps.append(Step(coarse, made, skip, together))
            coarse = together
        return steps

    def level(self, heads: dict[str, Tensor], voxels: SparseVoxels, region: Region) -> CentreLevel:
        """Rows that lie in the region, camera aligned again."""
        first = voxels.coords * voxels.coords.new_tensor((1, *[voxels.stride] * 3))
        rows = region.holds(first).nonzero()[:, 0]
        kept = replace(voxels, coords=voxels.coords[rows])
        if self.config.frame == "released":
            kept, order = mirrored(kept, MIRRORED)
            rows = rows[order]
        heads = {name: head[rows] for name, head in heads.items()}
        return CentreLevel(
            candidates=kept,
            occupancy_logit=heads[OCCUPANCY][:, 0],
            voxels=kept,
            is_kept=torch.ones(len(kept), dtype=torch.bool, device=kept.device),
            semantic_logits=heads[SEMANTIC],
            distance_vox=heads[DISTANCE][:, 0],
            centre_offsets=heads[OFFSETS],
            centre_heat=heads[HEAT][:, 0] if HEAT in heads else None,
        )
