"""A sparse U-Net that can make voxels on its way up and prune what it made."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from panoptic3d.config import Config
from panoptic3d.sparse.config import SparseConfig
from panoptic3d.sparse.joining import join, moved_onto, prune
from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.layers.blocks import ResidualBlock
from panoptic3d.sparse.layers.convolution import SparseConvTranspose3d
from panoptic3d.sparse.layers.norms import NormName, norm_layer
from panoptic3d.sparse.plan import PlanBook
from panoptic3d.sparse.voxels import coarsened, generated
from panoptic3d.structures.sparse_voxels import SparseVoxels

# (voxels, occupancy logit) -> which voxels stay. The caller decides: by threshold, by a budget, by ground truth.
Decide = Callable[[SparseVoxels, Tensor], Tensor]


class SparseUNetConfig(Config):
    """`channels[0]` is the finest level. `generate` and `prune` say for each level that is climbed to (all but the last)
    whether the U-Net makes voxels there or keeps to those of its skip, and whether it asks which of them stay.
    """

    num_in: int = Field(ge=1)
    channels: tuple[int, ...] = Field(default=(16, 32, 64), min_length=1)
    blocks_per_level: int = Field(default=1, ge=1)
    norm: NormName = "instance"
    up_kernel_size: int = Field(default=2, ge=2)
    generate: tuple[bool, ...] = ()
    prune: tuple[bool, ...] = ()
    sparse: SparseConfig = SparseConfig()

    @model_validator(mode="after")
    def _one_flag_per_climb(self) -> "SparseUNetConfig":
        for name in ("generate", "prune"):
            given = len(getattr(self, name))
            if given not in (0, len(self.channels) - 1):
                raise ValueError(f"`{name}` has {given} entries; give none or {len(self.channels) - 1}, finest first")
        return self


@dataclass(frozen=True, eq=False)
class UNetLevel:
    """What the U-Net says at one level. `candidates` and their logits are there where it was told to prune."""

    voxels: SparseVoxels
    features: Float[Tensor, "n c"]
    candidates: SparseVoxels | None = None
    occupancy_logit: Float[Tensor, " m"] | None = None


def likely(voxels: SparseVoxels, occupancy_logit: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Stay if occupied is likelier than not."""
    return occupancy_logit > 0


class SparseUNet(nn.Module):
    def __init__(self, config: SparseUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        self.stem = _stage(config.num_in, widths[0], 1, config)
        self.down = nn.ModuleList(_stage(a, b, 2, config) for a, b in pairwise(widths))
        self.up = nn.ModuleList(_Climb(level, config) for level in range(len(widths) - 1))

    def forward(
        self, features: Float[Tensor, "n c"], voxels: SparseVoxels, decide: Decide = likely
    ) -> tuple[UNetLevel, ...]:
        """Levels from fine to coarse. The finest grid is the box of `voxels`, and no voxel is made outside of it."""
        book = PlanBook(self.config.sparse)
        skips = [UNetLevel(voxels, _run(self.stem, features, voxels, voxels, book))]
        for stage in self.down:
            source = skips[-1]
            target = coarsened(source.voxels, 2)
            skips.append(UNetLevel(target, _run(stage, source.features, source.voxels, target, book)))
        levels = [skips.pop()]
        for climb in reversed(self.up):
            levels.append(climb(levels[-1], skips.pop(), book, decide))
        return tuple(reversed(levels))


class _Climb(nn.Module):
    """One level up: transposed convolution onto the skip's voxels or onto new ones, join with the skip, refine."""

    def __init__(self, level: int, config: SparseUNetConfig) -> None:
        super().__init__()
        coarse, fine = config.channels[level + 1], config.channels[level]
        self.does_generate = bool(config.generate) and config.generate[level]
        self.does_prune = bool(config.prune) and config.prune[level]
        self.lift = SparseConvTranspose3d(coarse, fine, Kernel(config.up_kernel_size, 2), bias=config.norm == "none")
        self.norm = norm_layer(config.norm, fine)
        self.occupancy = nn.Linear(fine, 1) if self.does_prune else None
        self.refine = _stage(2 * fine, fine, 1, config)

    def forward(self, coarse: UNetLevel, skip: UNetLevel, book: PlanBook, decide: Decide) -> UNetLevel:
        candidates = self._candidates(coarse.voxels, skip.voxels)
        lifted = self.lift(coarse.features, book.plan(candidates, coarse.voxels, self.lift.kernel))
        lifted = F.relu(self.norm(lifted, candidates))
        logit, kept, voxels = None, lifted, candidates
        if self.occupancy is not None:
            logit = self.occupancy(lifted)[:, 0]
            kept, voxels = prune(lifted, candidates, decide(candidates, logit))
        if voxels is skip.voxels:
            together, features = voxels, torch.cat((skip.features, kept), dim=1)
        elif self.does_generate:
            features, together = join([(skip.features, skip.voxels), (kept, voxels)], "concat")
        else:
            together, features = voxels, torch.cat((moved_onto(skip.features, skip.voxels, voxels), kept), dim=1)
        refined = _run(self.refine, features, together, together, book)
        return UNetLevel(together, refined, candidates if logit is not None else None, logit)

    def _candidates(self, coarse: SparseVoxels, skip: SparseVoxels) -> SparseVoxels:
        if not self.does_generate:
            return skip
        return generated(coarse, self.lift.kernel, bounds=(skip.origin, skip.shape))


def _stage(num_in: int, num_out: int, stride: int, config: SparseUNetConfig) -> nn.ModuleList:
    first = ResidualBlock(num_in, num_out, stride, config.norm)
    rest = [ResidualBlock(num_out, num_out, 1, config.norm) for _ in range(config.blocks_per_level - 1)]
    return nn.ModuleList([first, *rest])


def _run(
    stage: nn.Module, features: Tensor, source: SparseVoxels, target: SparseVoxels, book: PlanBook
) -> Float[Tensor, "n c"]:
    for block in stage.children():
        features = block(features, source, target, book)
        source = target
    return features
