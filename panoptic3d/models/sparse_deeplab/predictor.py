"""One sparse DeepLab decoder: atrous pyramid at stride 16, steps up that make voxels, heads (section 6.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.models.sparse_deeplab.config import PredictorConfig
from panoptic3d.sparse import Kernel, PlanBook, global_pool, join
from panoptic3d.sparse.layers.blocks import ConvNorm, rectified
from panoptic3d.sparse.layers.convolution import SparseConv3d, SparseConvTranspose3d
from panoptic3d.structures.sparse_voxels import SparseVoxels

UP = Kernel(4, 2, convention="minkowski")
_POINT = Kernel(1)


@dataclass(frozen=True, eq=False)
class Step:
    """Voxels of one step up: those that the transposed convolution makes and keeps, and those with the skip's."""

    coarse: SparseVoxels
    made: SparseVoxels
    skip: SparseVoxels
    together: SparseVoxels


class Activated(nn.Module):
    """Convolution, norm and ReLU, from a set to itself."""

    def __init__(self, num_in: int, num_out: int, kernel: Kernel) -> None:
        super().__init__()
        self.block = ConvNorm(num_in, num_out, kernel, "instance")

    def forward(self, features: Float[Tensor, "n c"], voxels: SparseVoxels, book: PlanBook) -> Float[Tensor, "n d"]:
        return rectified(self.block(features, voxels, voxels, book))


class WideBlock(nn.Module):
    """A full 5x5x5 convolution and a 1x1x1 one. The reference's name says "separable"; its engine has no groups."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.wide = Activated(num_in, num_in, Kernel(5))
        self.point = Activated(num_in, num_out, _POINT)

    def forward(self, features: Float[Tensor, "n c"], voxels: SparseVoxels, book: PlanBook) -> Float[Tensor, "n d"]:
        return self.point(self.wide(features, voxels, book), voxels, book)


class SparseAtrousPyramid(nn.Module):
    """As in 2D. The mean adds the same to every voxel of a sample, and the norm behind takes it away again: it is worked out
    only where a gradient is wanted, so that all weights have one.
    """

    def __init__(self, num_in: int, config: PredictorConfig) -> None:
        super().__init__()
        width = config.channels
        kernels = (_POINT, *(Kernel(3, dilation=d) for d in config.dilations))
        self.views = nn.ModuleList(Activated(num_in, width, kernel) for kernel in kernels)
        self.mean = SparseConv3d(num_in, width, _POINT, bias=False)
        self.project = Activated(5 * width, width, _POINT)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, features: Float[Tensor, "n c"], voxels: SparseVoxels, book: PlanBook) -> Float[Tensor, "n d"]:
        views = [view(features, voxels, book) for view in self.views]
        mean = torch.zeros_like(views[0])
        if torch.is_grad_enabled():
            mean = F.relu(global_pool(features, voxels, "mean") @ self.mean.weight[0])[voxels.coords[:, 0].long()]
        return self.dropout(self.project(torch.cat((*views, mean), dim=1), voxels, book))


class Predictor(nn.Module):
    """`heads` are the names of the outputs and how many channels each has."""

    def __init__(self, trunk_channels: Sequence[int], heads: Mapping[str, int], config: PredictorConfig) -> None:
        """`trunk_channels`: of strides 16, 8, 4, 2 (and 1)."""
        super().__init__()
        width = config.channels
        self.aspp = SparseAtrousPyramid(trunk_channels[0], config)
        sides = list(zip(trunk_channels[1:], config.skip_channels, strict=True))
        self.skip = nn.ModuleList(Activated(channels, skip, _POINT) for channels, skip in sides)
        self.up = nn.ModuleList(SparseConvTranspose3d(width, width, UP, bias=False) for _ in sides)
        self.fuse = nn.ModuleList(WideBlock(width + skip, width) for _, skip in sides)
        self.heads = nn.ModuleDict(
            {
                name: nn.ModuleList((WideBlock(width, width), SparseConv3d(width, channels, _POINT, bias=False)))
                for name, channels in heads.items()
            }
        )

    def forward(
        self,
        coarsest: Float[Tensor, "n c"],
        skips: Sequence[Float[Tensor, "_ _"]],
        steps: Sequence[Step],
        book: PlanBook,
        wanted: Sequence[str],
    ) -> dict[str, Float[Tensor, "m _"]]:
        """The wanted heads on the voxels of the last step."""
        x = self.aspp(coarsest, steps[0].coarse, book)
        for step, side, up, skip, fuse in zip(steps, skips, self.up, self.skip, self.fuse, strict=True):
            made = up(x, book.plan(step.made, step.coarse, UP))
            beside = skip(side, step.skip, book)
            x, _ = join([(made, step.made), (beside, step.skip)], "concat")
            x = fuse(x, step.together, book)
        return {name: self._head(name, x, steps[-1].together, book) for name in wanted if name in self.heads}

    def _head(self, name: str, x: Tensor, voxels: SparseVoxels, book: PlanBook) -> Float[Tensor, "m _"]:
        block, read = self.heads[name]  # pyright: ignore[reportGeneralTypeIssues]
        return read(block(x, voxels, book), book.plan(voxels, voxels, _POINT))
