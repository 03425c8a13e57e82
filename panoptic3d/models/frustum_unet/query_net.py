"""The same U-Net for queries (Uni-3D, section 6): the logit of a voxel for a query is the product of their embeddings.

Each level answers "is there anything?" for its candidates and goes on with the likely ones, as in `net.py`. Which query a
voxel belongs to is not passed on to the next level, so the coarse levels' answers are only needed to train them.
"""

from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.geometry.precision import widened
from panoptic3d.models.frustum_unet.blocks import DenseBlock, DenseBlocks, Shortcut, SparseBlock, SparseHead
from panoptic3d.models.frustum_unet.bottleneck import Bottleneck
from panoptic3d.models.frustum_unet.confined import rows_of_blocks, rows_of_bottleneck
from panoptic3d.models.frustum_unet.members import batch_of, members_of
from panoptic3d.models.frustum_unet.net import Generate, Level, down_a_level
from panoptic3d.models.frustum_unet.query_config import QueryUNetConfig
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.slots import FeatureLifted
from panoptic3d.sparse.dense import from_dense, to_dense
from panoptic3d.sparse.joining import Carried, join, prune
from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.layers.blocks import rectified
from panoptic3d.sparse.layers.norms import SparseInstanceNorm
from panoptic3d.sparse.plan import PlanBook
from panoptic3d.sparse.runtime.parallel import side_by_side
from panoptic3d.sparse.voxels import generated, voxels_of_mask
from panoptic3d.structures.prediction import InstanceLevel, InstanceSurface, LevelPrediction, Levels
from panoptic3d.structures.sparse_voxels import SparseVoxels

_NUM_DISTANCE = 2  # leading channels of what is lifted
Queries = tuple[Float[Tensor, "_ d"], ...]  # of each member of the batch


class QueryUNet(nn.Module):
    config_kind: ClassVar = QueryUNetConfig

    @classmethod
    def built(cls, config: QueryUNetConfig, method: PipelineConfig) -> "QueryUNet":
        return cls(config)

    def __init__(self, config: QueryUNetConfig) -> None:
        super().__init__()
        self.config = config
        width, said = config.width, config.num_query_channels
        even = Kernel(4, 2, convention="minkowski" if config.even_kernels == "one-sided" else "centred")
        self.inputs = nn.ModuleDict(
            {name: SparseBlock(n, width, 1, Shortcut(n, width, Kernel(1))) for name, n in self._parts().items()}
        )
        self.encode128 = _encoder(3 * width, width, even)
        self.encode64 = _encoder(width, 2 * width, even)
        self.adapters = nn.ModuleList(
            SparseBlock(
                config.num_features // 2, n * width, 1, Shortcut(config.num_features // 2, n * width, Kernel(1))
            )
            for n in ((1, 2, 4) if config.scales == "multi" else ())
        )
        self.bottleneck = Bottleneck(2 * width)
        self.generate128 = Generate(6 * width, 2 * width, even, with_block=True)
        self.generate256 = Generate(3 * width, width, even, with_block=False)
        self.occupancy64, self.occupancy128 = nn.Linear(4 * width, 1), nn.Linear(2 * width, 1)
        self.occupancy256, self.surface = SparseHead(width, 1), SparseHead(width, 1)
        self.embed64 = DenseBlocks(DenseBlock(4 * width, 4 * width), DenseBlock(4 * width, 4 * width))
        self.embed128 = SparseBlock(3 * width, 3 * width)
        self.embed256 = NormedBlock(width)
        self.project64, self.project128 = nn.Linear(said, 4 * width), nn.Linear(said, 3 * width)
        self.project256 = nn.Linear(said, width)

    def forward(self, lifted: FeatureLifted, up_to_stride: int = 1) -> Levels[LevelPrediction, InstanceSurface]:
        """Without gradients one member at a time, as `FrustumUNet` does."""
        if torch.is_grad_enabled() or len(lifted.grids) < 2:
            return self._levels(lifted, up_to_stride)
        return batch_of([self._levels(member, up_to_stride) for member in members_of(lifted)])

    def _levels(self, lifted: FeatureLifted, up_to_stride: int) -> Levels[LevelPrediction, InstanceSurface]:
        book = PlanBook(self.config.sparse)
        fine = self._encoded(self.encode128, *self._entered(lifted, book), lifted, 0, book)
        middle = self._encoded(self.encode64, *fine, lifted, 1, book)
        coarse = self._level64(middle, lifted, book)
        if up_to_stride >= coarse.voxels.stride:
            return Levels((coarse.prediction,), None)
        made = self._level128(coarse, fine, lifted.queries, book)
        if up_to_stride >= made.voxels.stride:
            return Levels((coarse.prediction, made.prediction), None)
        return Levels((coarse.prediction, made.prediction), self._level256(made, lifted.queries, book))

    def _parts(self) -> dict[str, int]:
        """Channels of what is lifted, in order."""
        config = self.config
        return {"depth": _NUM_DISTANCE, "features": config.num_features, "classes": config.num_classes}

    def _entered(self, lifted: FeatureLifted, book: PlanBook) -> Carried:
        voxels = lifted.voxels
        parts = lifted.features.split(list(self._parts().values()), dim=1)
        rows = [block(part, voxels, voxels, book) for block, part in zip(self.inputs.values(), parts, strict=True)]
        return torch.cat(rows, dim=1), voxels

    def _encoded(
        self,
        blocks: nn.ModuleList,
        features: Tensor,
        voxels: SparseVoxels,
        lifted: FeatureLifted,
        level: int,
        book: PlanBook,
    ) -> Carried:
        """Down a level; what was lifted to that level itself is added where it lies."""
        carried = down_a_level(blocks, features, voxels, book)
        if not self.adapters:
            return carried
        return join([carried, self._adapted(lifted, level, book)], "sum")

    def _adapted(self, lifted: FeatureLifted, level: int, book: PlanBook) -> Carried:
        features, voxels = lifted.coarse[level]
        return self.adapters[level](features, voxels, voxels, book), voxels

    def _level64(self, encoded: Carried, lifted: FeatureLifted, book: PlanBook) -> Level:
        asked = voxels_of_mask(lifted.is_in_frustum, encoded[1].stride)
        beside = to_dense(*self._adapted(lifted, 2, book)) if self.adapters else None
        volume = None
        if self.config.level_64 == "grid":
            volume = self.bottleneck(*encoded, book, beside)
            rows = from_dense(volume, asked)
        else:
            rows = rows_of_bottleneck(self.bottleneck, *encoded, asked, book, beside)
        logit = widened(self.occupancy64(rows))[:, 0]
        is_kept = logit.sigmoid() > self.config.threshold_64
        instance = None
        if self._says_coarse_instances:
            embedding = self._embedded64(volume, rows, asked, book)
            instance = products(embedding, asked, self.project64, lifted.queries)
        said = _said(asked, logit, asked, is_kept, instance)
        features, together = join([encoded, prune(rows, asked, is_kept)], "concat")
        return Level(features, together, said)

    def _embedded64(
        self, volume: Float[Tensor, "b c x y z"] | None, rows: Float[Tensor, "n c"], asked: SparseVoxels, book: PlanBook
    ) -> Float[Tensor, "n c"]:
        if volume is None:
            return rows_of_blocks(self.embed64, rows, asked, book)
        return from_dense(self.embed64(volume), asked)

    def _level128(self, coarse: Level, skip: Carried, queries: Queries, book: PlanBook) -> Level:
        made = generated(coarse.voxels, self.generate128.kernel, bounds=((0, 0, 0), skip[1].shape))
        features = self.generate128(coarse.features, coarse.voxels, made, book)
        logit = widened(self.occupancy128(features))[:, 0]
        is_kept = logit.sigmoid() > self.config.threshold_128
        features, together = join([skip, prune(features, made, is_kept)], "concat")
        instance = None
        if self._says_coarse_instances:
            embedding = self.embed128(features, together, together, book)
            instance = products(embedding, together, self.project128, queries)
        return Level(features, together, _said(made, logit, together, is_kept, instance))

    def _level256(self, middle: Level, queries: Queries, book: PlanBook) -> InstanceSurface:
        nx, ny, nz = (2 * n for n in middle.voxels.shape)
        made = generated(middle.voxels, self.generate256.kernel, bounds=((0, 0, 0), (nx, ny, nz)))
        features = self.generate256(middle.features, middle.voxels, made, book)
        logit = widened(self.occupancy256(features, made, book))[:, 0]
        is_kept = logit.sigmoid() > self.config.threshold_256
        features, kept = prune(features, made, is_kept)
        works = [partial(head, features, kept, book) for head in (self.embed256, self.surface)]
        embedding, distance = side_by_side(works, features.device)
        return InstanceSurface(
            candidates=made,
            occupancy_logit=logit,
            voxels=kept,
            is_kept=is_kept,
            instance_logits=products(embedding, kept, self.project256, queries),
            distance_vox=widened(distance)[:, 0].clamp(0, self.config.truncation_vox),
        )

    @property
    def _says_coarse_instances(self) -> bool:
        return self.training or self.config.coarse_instances == "always"


class NormedBlock(nn.Module):
    """Norm and block: the head of the finest level without its last convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = SparseInstanceNorm(width)
        self.block = SparseBlock(width, width)

    def forward(self, features: Float[Tensor, "n c"], voxels: SparseVoxels, book: PlanBook) -> Float[Tensor, "n c"]:
        return self.block(rectified(self.norm(features, voxels)), voxels, voxels, book)


def _said(
    candidates: SparseVoxels, logit: Tensor, voxels: SparseVoxels, is_kept: Tensor, instance: Tensor | None
) -> LevelPrediction:
    occupancy = LevelPrediction(candidates=candidates, occupancy_logit=logit, voxels=voxels, is_kept=is_kept)
    return occupancy if instance is None else InstanceLevel(**vars(occupancy), instance_logits=instance)


def products(
    embedding: Float[Tensor, "n c"], voxels: SparseVoxels, project: nn.Module, queries: Queries
) -> Float[Tensor, "n q"]:
    """Each voxel with each query of its own image. An image with fewer queries than another has zeros behind them."""
    most = max((len(query) for query in queries), default=0)
    parts = []
    for rows, query in zip(embedding.split(voxels.counts), queries, strict=True):
        logits = widened(rows @ project(query).to(rows.dtype).t())
        parts.append(torch.nn.functional.pad(logits, (0, most - len(query))))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _encoder(num_in: int, num_out: int, even: Kernel) -> nn.ModuleList:
    return nn.ModuleList(
        [SparseBlock(num_in, num_out, 2, Shortcut(num_in, num_out, even)), SparseBlock(num_out, num_out)]
    )
