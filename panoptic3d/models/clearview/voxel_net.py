"""The voxel net of clearview: a U-Net over the whole frustum at 64^3, refined twice where it predicts occupancy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.geometry.precision import widened
from panoptic3d.models.clearview.config import VoxelNetConfig
from panoptic3d.models.clearview.gather import Evidence, Gathered, NumGathered
from panoptic3d.models.clearview.seeds import Places, SeedHead, VoteHead, Votes, membership, strongest
from panoptic3d.models.clearview.start import StartFromMaps
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.sparse.joining import prune
from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.layers.blocks import ResidualBlock
from panoptic3d.sparse.layers.convolution import SparseConvTranspose3d
from panoptic3d.sparse.layers.unet import SparseUNet, SparseUNetConfig
from panoptic3d.sparse.plan import PlanBook
from panoptic3d.sparse.voxels import generated
from panoptic3d.structures.prediction import LevelPrediction, Levels, SeededLevel, ThingSeeds
from panoptic3d.structures.sparse_voxels import SparseVoxels

# (candidates, occupancy logit) -> which of them are refined.
Keep = Callable[[SparseVoxels, Tensor], Tensor]
# (heat logit, cells) -> the seeds: places where things may be.
Seed = Callable[[Tensor, SparseVoxels], Places]
_RARE = -3.0  # the logit at which rare events start
_UNLIKELY = 1e-3  # lower bound of a class probability that is read from a pixel


@dataclass(frozen=True, eq=False, kw_only=True)
class VotedLevel(LevelPrediction):
    """The finest level before voxels are compared with seeds."""

    semantic_logits: Float[Tensor, "n classes"]
    distance_vox: Float[Tensor, " n"]
    seeds: ThingSeeds
    votes: Votes


@dataclass(frozen=True, eq=False)
class Refined(Levels[LevelPrediction, VotedLevel]):
    """All outputs of the net, for the loss."""

    heat_logit: Float[Tensor, " n"]  # of the cells of stride 4
    cells: SparseVoxels


class ClearviewNet(nn.Module):
    config_kind: ClassVar = VoxelNetConfig

    @classmethod
    def built(cls, config: VoxelNetConfig, method: PipelineConfig) -> "ClearviewNet":
        return cls(NumGathered(**method.lift.widths(method)), config)

    def __init__(self, num_in: NumGathered, config: VoxelNetConfig) -> None:
        super().__init__()
        self.config = config
        width, seeds = config.channels_64[0], config.seeds
        self.squeeze = nn.Linear(num_in.everywhere + num_in.on_cells, 2 * width)
        unet = SparseUNetConfig(num_in=2 * width, channels=config.channels_64, sparse=config.sparse)
        self.coarse = SparseUNet(unet)
        self.occupancy_64, self.heat = nn.Linear(width, 1), nn.Linear(width, 1)
        self.seeds = SeedHead(width, config.num_classes, seeds)
        self.refine_128 = Refine(width, num_in.everywhere, config.channels_128)
        self.refine_256 = Refine(config.channels_128, num_in.everywhere, config.channels_256, config.has_neighbours_256)
        finest = config.channels_256
        self.distance, self.classes = nn.Linear(finest, 1), nn.Linear(finest, config.num_classes)
        self.trust = nn.Parameter(torch.ones(()))  # in the classes of the pixels: right at once for what is seen
        self.votes = VoteHead(finest, seeds)
        self.start = StartFromMaps(finest) if config.starts_from_maps else None
        for rare in (self.occupancy_64, self.heat):
            nn.init.constant_(rare.bias, _RARE)

    def forward(self, lifted: Gathered, up_to_stride: int = 1) -> Levels[LevelPrediction, SeededLevel]:
        refined = self.run(lifted, up_to_stride)
        if refined.last is None:
            return Levels(refined.coarse, None)
        finest = refined.last
        logits = membership(finest.votes, finest.voxels, finest.seeds, self.config.seeds)
        said = {name: value for name, value in vars(finest).items() if name != "votes"}
        return Levels(refined.coarse, SeededLevel(**said, instance_logits=logits, voted_vox=finest.votes.centre_vox))

    def run(
        self, lifted: Gathered, up_to_stride: int = 1, keep: Keep | None = None, seed: Seed | None = None
    ) -> Refined:
        """`keep` and `seed` decide what is refined and where things are; by default the net's own beliefs do.

        Voxels vote, but nobody compares them with seeds here: a training needs that of some voxels only.
        """
        decide = keep or self._likely
        book, evidence, cells = PlanBook(self.config.sparse), lifted.evidence, lifted.voxels
        features = self.coarse(F.relu(self.squeeze(lifted.features)), cells)[0].features
        heat, occupancy = _scalar(self.heat, features), _scalar(self.occupancy_64, features)
        if self.start is not None:
            assert lifted.votes_on_cells is not None
            heat = heat + self.start.voted * lifted.votes_on_cells
            occupancy = occupancy + self.start.occupancy(evidence, cells)
        said = _said(cells, occupancy, decide)
        if up_to_stride >= cells.stride:
            return Refined((said,), None, heat, cells)
        places = (seed or self._strongest)(heat, cells)
        seeds = self.seeds(features, cells, places)
        kept, rows = prune(features, cells, said.is_kept)
        hidden, made, _ = self.refine_128(kept, rows, evidence, book)
        occupancy = _scalar(self.refine_128.occupancy, hidden)
        if self.start is not None:
            occupancy = occupancy + self.start.occupancy(evidence, made)
        middle = _said(made, occupancy, decide)
        if up_to_stride >= made.stride:
            return Refined((said, middle), None, heat, cells)
        kept, rows = prune(hidden, made, middle.is_kept)
        hidden, made, read = self.refine_256(kept, rows, evidence, book)
        seen = evidence.probabilities_of(read).clamp(min=_UNLIKELY).log()
        finest = self._finest(hidden, made, seen, seeds, decide, evidence)
        return Refined((said, middle), finest, heat, cells)

    def _finest(
        self,
        hidden: Float[Tensor, "n c"],
        made: SparseVoxels,
        seen: Float[Tensor, "n classes"],
        seeds: ThingSeeds,
        decide: Keep,
        evidence: Evidence,
    ) -> VotedLevel:
        occupancy = _scalar(self.refine_256.occupancy, hidden)
        if self.start is not None:
            occupancy = occupancy + self.start.occupancy(evidence, made)
        is_kept = decide(made, occupancy)
        features, voxels = prune(hidden, made, is_kept)
        votes = self.votes(features, voxels)
        distance = F.softplus(_scalar(self.distance, features))
        if self.start is not None:
            visible = evidence.visible(voxels)
            distance = self.start.distance(features, visible, distance)
            votes = self.start.votes(features, visible, seen[is_kept], votes)
        return VotedLevel(
            candidates=made,
            occupancy_logit=occupancy,
            voxels=voxels,
            is_kept=is_kept,
            semantic_logits=widened(self.classes(features)) + self.trust * seen[is_kept],
            distance_vox=distance,
            seeds=seeds,
            votes=votes,
        )

    def _likely(self, voxels: SparseVoxels, occupancy_logit: Tensor) -> Tensor:
        threshold = {4: self.config.keep_64, 2: self.config.keep_128, 1: self.config.keep_256}[voxels.stride]
        return occupancy_logit.sigmoid() > threshold

    def _strongest(self, heat_logit: Tensor, cells: SparseVoxels) -> Places:
        return strongest(heat_logit, cells, self.config.seeds)


class Refine(nn.Module):
    """Eight finer voxels for each, which read the maps for themselves, and their neighbours or not."""

    def __init__(self, num_coarse: int, num_evidence: int, width: int, has_neighbours: bool = True) -> None:
        super().__init__()
        self.up = SparseConvTranspose3d(num_coarse, width, Kernel(2, 2))
        self.read = nn.Linear(num_evidence, width)
        self.block = ResidualBlock(width, width) if has_neighbours else None
        self.alone = (
            None
            if has_neighbours
            else nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        )
        self.occupancy = nn.Linear(width, 1)

    def forward(
        self, features: Float[Tensor, "n c"], coarse: SparseVoxels, evidence: Evidence, book: PlanBook
    ) -> tuple[Float[Tensor, "m c2"], SparseVoxels, Float[Tensor, "m e"]]:
        """What was made of them, where, and what they read."""
        nx, ny, nz = (2 * n for n in coarse.shape)
        made = generated(coarse, self.up.kernel, bounds=((0, 0, 0), (nx, ny, nz)))
        read = evidence.at(made)
        hidden = F.relu(self.up(features, book.plan(made, coarse, self.up.kernel)) + self.read(read))
        if self.block is not None:
            return self.block(hidden, made, made, book), made, read
        assert self.alone is not None
        return F.relu(hidden + self.alone(hidden)), made, read


def _scalar(head: nn.Module, features: Float[Tensor, "n c"]) -> Float[Tensor, " n"]:
    return widened(head(features))[:, 0]


def _said(voxels: SparseVoxels, occupancy_logit: Tensor, decide: Keep) -> LevelPrediction:
    is_kept = decide(voxels, occupancy_logit)
    return LevelPrediction(candidates=voxels, occupancy_logit=occupancy_logit, voxels=voxels, is_kept=is_kept)
