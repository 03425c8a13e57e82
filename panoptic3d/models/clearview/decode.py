"""Prediction to scenes: voxels join the seed they like best, and a seed's class is that of its voxels and its own opinion."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.geometry.voxels import linear_index
from panoptic3d.models.clearview.confidence import confidence_of, evidence_of, seen_from
from panoptic3d.models.clearview.config import DecodeConfig, JudgeConfig
from panoptic3d.models.clearview.flat_floor import Decided, with_flat_floor
from panoptic3d.models.clearview.judge import VoxelEvidence, chance_of, evidence_of_things
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.structures.prediction import LevelPrediction, Levels, Prediction, SeededLevel, ThingSeeds
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy

_VECTOR = 16  # floats
_LEAST_AGREEMENT = 1e-3  # so that a pixel's wrong class does not outvote everything else


@dataclass(frozen=True, eq=False)
class _Things:
    joined: Int64[Tensor, " n"]  # the thing of every voxel, numbered from 1 with none left out; 0 is stuff
    classes: Int64[Tensor, " k1"]  # of each number
    seeds: ThingSeeds  # one a thing


class SeedDecode:
    """Without weights: a function with its thresholds."""

    config_kind: ClassVar = DecodeConfig

    @classmethod
    def built(cls, config: DecodeConfig, method: PipelineConfig) -> "SeedDecode":
        return cls(config, method.voxel_net.truncation_vox, method.classes)

    def __init__(self, config: DecodeConfig, truncation_vox: float, taxonomy: Taxonomy = FRONT3D_TAXONOMY) -> None:
        self.config, self.truncation_vox, self.taxonomy = config, truncation_vox, taxonomy

    def __call__(self, prediction: Prediction[Levels[LevelPrediction, SeededLevel]]) -> tuple[PanopticScene, ...]:
        finest = prediction.levels.finest
        return tuple(self._scene(prediction, finest, member) for member in range(len(prediction.cameras)))

    def _scene(self, prediction: Prediction, finest: SeededLevel, member: int) -> PanopticScene:
        grid = prediction.grids[member]
        rows = finest.voxels.rows_of(member).nonzero()[:, 0]
        distance = finest.distance_vox[rows].clamp(0, self.truncation_vox)
        own = (finest.seeds.member == member).nonzero()[:, 0]
        columns = torch.cat((own.new_zeros(1), own + 1))
        probabilities = _softmax(finest.semantic_logits[rows].float())
        coords = finest.voxels.coords[rows, 1:]
        seen = seen_from(prediction, member, coords.long())
        occupied = finest.occupancy_logit[finest.is_kept][rows].sigmoid()
        voxels = VoxelEvidence(coords.long(), probabilities, occupied, distance < self.config.surface_vox)
        logits, seeds = finest.instance_logits[rows][:, columns], finest.seeds.of(own)
        things = self._things(logits, voxels, seeds)
        scores, is_likely = things.seeds.scores, torch.ones_like(things.classes, dtype=torch.bool)
        if self.config.judge is not None:
            evidence = evidence_of_things(things.joined, things.classes, things.seeds, voxels, seen, grid.voxel_size_m)
            scores = self.chance_of(evidence, self.config.judge)
            is_likely[1:] = scores >= self.config.judge.least
        semantic = torch.where(things.joined > 0, things.classes[things.joined], self._stuff(probabilities))
        confidence = self.confidence_of(evidence_of(occupied, seen))
        number = is_likely.long().cumsum(dim=0) - 1  # of the things that stay
        stays = is_likely[things.joined]
        said = Decided(coords, distance.float(), semantic.to(torch.uint8), number[things.joined].int(), confidence)[
            stays
        ]
        if self.config.flat_floor:
            floor = self.taxonomy.id_of("floor")
            otherwise = self._stuff(probabilities[stays], but=floor).to(torch.uint8)
            said = with_flat_floor(said, grid, floor, otherwise, self.truncation_vox)
        cells = linear_index(said.coords, grid.shape)

        def volume(values: Tensor, fill: float | int) -> Tensor:
            return values.new_full((grid.num_points,), fill).index_copy_(0, cells, values).view(grid.shape)

        return PanopticScene(
            distance_vox=volume(said.distance_vox, self.truncation_vox),
            semantic=volume(said.semantic, 0),
            instance=volume(said.instance, 0),
            camera=prediction.cameras[member],
            grid=grid,
            taxonomy=self.taxonomy,
            scores={number: score for number, score in enumerate(scores[is_likely[1:]].tolist(), start=1) if score > 0},
            confidence=volume(said.confidence, 0.0),
        )

    def confidence_of(self, evidence: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Confidence of the voxels of one image, with fitted weights (`eval.fusion.confidence`)."""
        return confidence_of(evidence, self.config.confidence).half()

    def chance_of(self, evidence: Float[Tensor, "k features"], judge: JudgeConfig) -> Float[Tensor, " k"]:
        """That the things of one image are right, with fitted weights (`eval.race.judge`)."""
        return chance_of(evidence, judge)

    def _things(
        self,
        logits: Float[Tensor, "n s1"],
        voxels: VoxelEvidence,
        seeds: ThingSeeds,
    ) -> "_Things":
        is_class = torch.tensor([c.kind == "thing" for c in self.taxonomy.classes], device=logits.device)
        if self.config.class_weight:
            logits = logits + self.config.class_weight * _agreement(voxels.probabilities, seeds, is_class).log()
        chosen = logits.argmax(dim=1)
        shell = torch.bincount(chosen[voxels.is_shell], minlength=len(seeds) + 1)
        is_thing = shell > max(self.config.min_shell_voxels, 0)
        is_thing[0] = False
        kept = is_thing.nonzero()[:, 0]
        refused = torch.where(is_thing, 0.0, -torch.inf)
        refused[0] = 0.0
        chosen = (logits + refused).argmax(dim=1)
        number_of = torch.zeros(len(seeds) + 1, dtype=torch.int64, device=logits.device)
        number_of[kept] = torch.arange(1, len(kept) + 1, device=logits.device)
        votes = voxels.probabilities.new_zeros(len(seeds) + 1, voxels.probabilities.shape[1])
        votes.index_add_(0, chosen, voxels.probabilities)
        votes = votes / torch.bincount(chosen, minlength=len(votes))[:, None].clamp(min=1)
        votes = votes[kept] + seeds.class_logits.float().softmax(dim=1)[kept - 1]
        classes = torch.cat((kept.new_zeros(1), torch.where(is_class, votes, -1.0).argmax(dim=1)))
        return _Things(number_of[chosen], classes, seeds.of(kept - 1))

    def _stuff(self, probabilities: Float[Tensor, "n classes"], but: int | None = None) -> Int64[Tensor, " n"]:
        """The likeliest class of stuff, `but` left out."""
        stuff = torch.tensor([c for c in self.taxonomy.stuff_ids if c != but], device=probabilities.device)
        return stuff[probabilities[:, stuff].argmax(dim=1)]


def _agreement(
    probabilities: Float[Tensor, "n classes"], seeds: ThingSeeds, is_class: Bool[Tensor, " classes"]
) -> Float[Tensor, "n s1"]:
    """How likely a voxel has the class of "no thing" (any of stuff) and that of each seed, as both see it."""
    opinions = seeds.class_logits.float().masked_fill(~is_class, -torch.inf).softmax(dim=1)
    stuff = (probabilities * ~is_class).sum(dim=1, keepdim=True)
    return torch.cat((stuff, probabilities @ opinions.t()), dim=1) + _LEAST_AGREEMENT


def _softmax(logits: Float[Tensor, "n classes"]) -> Float[Tensor, "n classes"]:
    """By rows that fill whole vectors: for 13 classes torch takes ten times as long as for 16."""
    num = logits.shape[1]
    return F.pad(logits, (0, -num % _VECTOR), value=-torch.inf).softmax(dim=1)[:, :num]
