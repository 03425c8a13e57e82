"""Lifted features to three levels of answers: dense at 64^3, sparse at 128^3 and 256^3.

Every level answers "is there anything?" for its candidates, goes on with those that are likelier than its threshold, and says
their instance and class; the next level is made from all of it (section 3.4 of PanoRecon's specification).
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Generic, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from panoptic3d.models.frustum_unet.blocks import (
    BareShortcut,
    DenseTail,
    Shortcut,
    SparseBlock,
    SparseHead,
    SparseTail,
)
from panoptic3d.models.frustum_unet.bottleneck import Bottleneck
from panoptic3d.models.frustum_unet.config import FrustumUNetConfig
from panoptic3d.models.frustum_unet.confined import rows_of_bottleneck, rows_of_tail
from panoptic3d.models.frustum_unet.fast_tail import pays, rows_of_tails
from panoptic3d.models.frustum_unet.members import batch_of, members_of
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.slots import SurfaceLifted
from panoptic3d.sparse.dense import from_dense
from panoptic3d.sparse.joining import join, prune
from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.layers.blocks import rectified
from panoptic3d.sparse.layers.convolution import SparseConvTranspose3d
from panoptic3d.sparse.layers.norms import SparseInstanceNorm
from panoptic3d.sparse.plan import PlanBook
from panoptic3d.sparse.runtime.parallel import side_by_side
from panoptic3d.sparse.voxels import coarsened, generated, pruned, voxels_of_mask
from panoptic3d.structures.prediction import LabelledLevel, LevelPrediction, Levels, SurfaceLevel
from panoptic3d.structures.sparse_voxels import SparseVoxels

LevelT = TypeVar("LevelT", bound=LevelPrediction)
_NUM_DISTANCE = 2  # leading channels of what is lifted


@dataclass(frozen=True, eq=False)
class Level(Generic[LevelT]):
    """Features for the next finer level, and the predictions of this level."""

    features: Float[Tensor, "n c"]
    voxels: SparseVoxels
    prediction: LevelT


class FrustumUNet(nn.Module):
    config_kind: ClassVar = FrustumUNetConfig

    @classmethod
    def built(cls, config: FrustumUNetConfig, method: PipelineConfig) -> "FrustumUNet":
        return cls(config)

    def __init__(self, config: FrustumUNetConfig) -> None:
        super().__init__()
        self.config = config
        width, said = config.width, config.num_instances + config.num_classes
        even = Kernel(4, 2, convention="minkowski" if config.even_kernels == "one-sided" else "centred")
        self.inputs = nn.ModuleDict(
            {name: SparseBlock(n, width, 1, Shortcut(n, width, Kernel(1))) for name, n in self._parts().items()}
        )
        down = Shortcut(3 * width, width, even)
        self.encode128 = nn.ModuleList([SparseBlock(3 * width, width, 2, down), SparseBlock(width, width)])
        down = BareShortcut(width, 2 * width, even)
        self.encode64 = nn.ModuleList([SparseBlock(width, 2 * width, 2, down), SparseBlock(2 * width, 2 * width)])
        self.bottleneck = Bottleneck(2 * width)
        self.heads64 = _DenseHeads(4 * width, config)
        self.generate128 = Generate(6 * width + said, 2 * width, even, with_block=True)
        self.heads128 = _SparseHeads(2 * width, 3 * width, config)
        self.generate256 = Generate(3 * width + said, width, even, with_block=False)
        heads = {"occupancy": 1, "surface": 1, "semantic": config.num_classes, "instance": config.num_instances}
        self.heads256 = nn.ModuleDict({name: SparseHead(width, n) for name, n in heads.items()})

    def forward(self, lifted: SurfaceLifted, up_to_stride: int = 1) -> Levels[LabelledLevel, SurfaceLevel]:
        """Down to a stride: the first steps of a training end early.

        Without gradients one member at a time: no slower, less memory, and the batch has no say in anybody's answer."""
        if torch.is_grad_enabled() or len(lifted.grids) < 2:
            return self._levels(lifted, up_to_stride)
        return batch_of([self._levels(member, up_to_stride) for member in members_of(lifted)])

    def _levels(self, lifted: SurfaceLifted, up_to_stride: int) -> Levels[LabelledLevel, SurfaceLevel]:
        book = PlanBook(self.config.sparse)
        encoded128, voxels128 = self._encode128(lifted, book)
        encoded64, voxels64 = down_a_level(self.encode64, encoded128, voxels128, book)
        coarse = self._level64(encoded64, voxels64, lifted.is_in_frustum, book)
        if up_to_stride >= coarse.voxels.stride:
            return Levels((coarse.prediction,), None)
        middle = self._level128(coarse, encoded128, voxels128, book)
        if up_to_stride >= middle.voxels.stride:
            return Levels((coarse.prediction, middle.prediction), None)
        return Levels((coarse.prediction, middle.prediction), self._level256(middle, book))

    def _parts(self) -> dict[str, int]:
        """Channels of what is lifted, in order."""
        config = self.config
        return {"depth": _NUM_DISTANCE, "features": config.num_features, "instances": config.num_instances}

    def _encode128(self, lifted: SurfaceLifted, book: PlanBook) -> tuple[Tensor, SparseVoxels]:
        voxels = lifted.voxels
        parts = lifted.features.split(list(self._parts().values()), dim=1)
        encoded = [block(part, voxels, voxels, book) for block, part in zip(self.inputs.values(), parts, strict=True)]
        return down_a_level(self.encode128, torch.cat(encoded, dim=1), voxels, book)

    def _level64(
        self,
        encoded: Float[Tensor, "n c"],
        voxels: SparseVoxels,
        is_in_frustum: Bool[Tensor, "b x y z"],
        book: PlanBook,
    ) -> Level[LabelledLevel]:
        asked = voxels_of_mask(is_in_frustum, voxels.stride)
        if self.config.level_64 == "grid":
            volume = self.bottleneck(encoded, voxels, book)
            rows = from_dense(volume, asked)
            instance, semantic = self.heads64(volume, asked)
        else:
            rows = rows_of_bottleneck(self.bottleneck, encoded, voxels, asked, book)
            instance, semantic = (rows_of_tail(tail, rows, asked, book) for tail in self.heads64.tails)
        logit = self.heads64.occupancy(rows)[:, 0]
        is_kept = logit.sigmoid() > self.config.threshold_64
        said = _labelled(asked, logit, asked, is_kept, semantic, instance)
        features, kept = prune(torch.cat((rows, instance, semantic), dim=1), asked, is_kept)
        features, together = join([(encoded, voxels), (features, kept)], "concat")
        return Level(features, together, said)

    def _level128(
        self, coarse: Level[LabelledLevel], encoded: Float[Tensor, "n c"], voxels: SparseVoxels, book: PlanBook
    ) -> Level[LabelledLevel]:
        made = generated(coarse.voxels, self.generate128.kernel, bounds=((0, 0, 0), voxels.shape))
        features = self.generate128(coarse.features, coarse.voxels, made, book)
        logit = self.heads128.occupancy(features)[:, 0]
        is_kept = logit.sigmoid() > self.config.threshold_128
        features, kept = prune(features, made, is_kept)
        features, together = join([(encoded, voxels), (features, kept)], "concat")
        heads = (self.heads128.instance, self.heads128.semantic)
        works = [partial(head, features, together, book) for head in heads]
        instance, semantic = side_by_side(works, features.device)
        said = _labelled(made, logit, together, is_kept, semantic, instance)
        return Level(torch.cat((features, instance, semantic), dim=1), together, said)

    def _level256(self, middle: Level[LabelledLevel], book: PlanBook) -> SurfaceLevel:
        made = self._finest(middle.voxels)
        features = self.generate256(middle.features, middle.voxels, made, book)
        logit = self.heads256["occupancy"](features, made, book)[:, 0]
        is_kept = logit.sigmoid() > self.config.threshold_256
        features, kept = prune(features, made, is_kept)
        heads = (self.heads256[name] for name in ("semantic", "instance", "surface"))
        works = [partial(head, features, kept, book) for head in heads]
        semantic, instance, distance = side_by_side(works, features.device)
        return SurfaceLevel(
            candidates=made,
            occupancy_logit=logit,
            voxels=kept,
            is_kept=is_kept,
            semantic_logits=semantic,
            instance_logits=instance,
            distance_vox=distance[:, 0],
        )

    def _finest(self, coarse: SparseVoxels) -> SparseVoxels:
        nx, ny, nz = (2 * n for n in coarse.shape)
        made = generated(coarse, self.generate256.kernel, bounds=((0, 0, 0), (nx, ny, nz)))
        if self.config.last_index == "kept":
            return made
        limit = made.coords.new_tensor([nx, ny, nz]) - 1
        return pruned(made, (made.coords[:, 1:] < limit).all(dim=1))


def _labelled(
    candidates: SparseVoxels, logit: Tensor, voxels: SparseVoxels, is_kept: Tensor, semantic: Tensor, instance: Tensor
) -> LabelledLevel:
    return LabelledLevel(
        candidates=candidates,
        occupancy_logit=logit,
        voxels=voxels,
        is_kept=is_kept,
        semantic_logits=semantic,
        instance_logits=instance,
    )


class Generate(nn.Module):
    """A transposed convolution that makes voxels, a norm, and sometimes a block."""

    def __init__(self, num_in: int, num_out: int, kernel: Kernel, with_block: bool) -> None:
        super().__init__()
        self.kernel = kernel
        self.conv = SparseConvTranspose3d(num_in, num_out, kernel, bias=False)
        self.norm = SparseInstanceNorm(num_out)
        self.block = SparseBlock(num_out, num_out) if with_block else None

    def forward(
        self, features: Float[Tensor, "n cin"], coarse: SparseVoxels, fine: SparseVoxels, book: PlanBook
    ) -> Float[Tensor, "m cout"]:
        hidden = self.conv(features, book.plan(fine, coarse, self.kernel))
        hidden = rectified(self.norm(hidden, fine, is_fresh=True))
        return hidden if self.block is None else self.block(hidden, fine, fine, book)


class _DenseHeads(nn.Module):
    def __init__(self, width: int, config: FrustumUNetConfig) -> None:
        super().__init__()
        self.occupancy = nn.Linear(width, 1)
        self.instance = DenseTail(width, config.num_instances)
        self.semantic = DenseTail(width, config.num_classes)

    @property
    def tails(self) -> tuple[DenseTail, DenseTail]:
        return self.instance, self.semantic

    def forward(
        self, volume: Float[Tensor, "b c x y z"], asked: SparseVoxels
    ) -> tuple[Float[Tensor, "n i"], Float[Tensor, "n s"]]:
        """Instance and class of the asked cells."""
        if pays(volume, self.instance):
            instance, semantic = rows_of_tails(self.tails, volume, asked)
            return instance, semantic
        return from_dense(self.instance(volume), asked), from_dense(self.semantic(volume), asked)


class _SparseHeads(nn.Module):
    """Occupancy reads what was made, the others what was made and kept together with the skip."""

    def __init__(self, num_made: int, num_joined: int, config: FrustumUNetConfig) -> None:
        super().__init__()
        self.occupancy = nn.Linear(num_made, 1)
        self.instance = SparseTail(num_joined, config.num_instances)
        self.semantic = SparseTail(num_joined, config.num_classes)


def down_a_level(
    blocks: nn.ModuleList, features: Float[Tensor, "n c"], voxels: SparseVoxels, book: PlanBook
) -> tuple[Float[Tensor, "m c2"], SparseVoxels]:
    """A block that strides and one that does not."""
    first, second = blocks
    target = coarsened(voxels, 2)
    features = first(features, voxels, target, book)
    return second(features, target, target, book), target
