"""Residual blocks, sparse and dense, and the tails of heads."""

from collections.abc import Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.sparse.config import SparseConfig
from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.layers.blocks import rectified
from panoptic3d.sparse.layers.convolution import SparseConv3d
from panoptic3d.sparse.layers.norms import SparseInstanceNorm
from panoptic3d.sparse.plan import Plan, PlanBook, make_plan
from panoptic3d.sparse.torch.dispatch import Widths, is_inference_on_a_cpu, tiles_for
from panoptic3d.sparse.torch.winograd_tiles import conv_in_tiles
from panoptic3d.sparse.voxels import all_voxels
from panoptic3d.sparse.weights import from_dense_weight
from panoptic3d.structures.sparse_voxels import SparseVoxels


class Shortcut(nn.Module):
    """A convolution with a bias, and a norm that makes the bias vanish: published weights have it."""

    def __init__(self, num_in: int, num_out: int, kernel: Kernel) -> None:
        super().__init__()
        self.conv = SparseConv3d(num_in, num_out, kernel)
        self.norm = SparseInstanceNorm(num_out)

    def forward(
        self, features: Float[Tensor, "n cin"], source: SparseVoxels, target: SparseVoxels, book: PlanBook
    ) -> Float[Tensor, "m cout"]:
        made = self.conv(features, book.plan(source, target, self.conv.kernel))
        return self.norm(made, target, is_fresh=True)


class BareShortcut(SparseConv3d):
    """A convolution and nothing else."""

    def __init__(self, num_in: int, num_out: int, kernel: Kernel) -> None:
        super().__init__(num_in, num_out, kernel, bias=False)

    def forward(
        self, features: Float[Tensor, "n cin"], source: SparseVoxels, target: SparseVoxels, book: PlanBook
    ) -> Float[Tensor, "m cout"]:
        return super().forward(features, book.plan(source, target, self.kernel))


class SparseBlock(nn.Module):
    """Two 3^3 convolutions with norms beside a shortcut; a first kernel of stride 2 makes the block go down a level."""

    def __init__(
        self, num_in: int, num_out: int, stride: int = 1, shortcut: Shortcut | BareShortcut | None = None
    ) -> None:
        super().__init__()
        self.conv1 = SparseConv3d(num_in, num_out, Kernel(3, stride), bias=False)
        self.norm1 = SparseInstanceNorm(num_out)
        self.conv2 = SparseConv3d(num_out, num_out, Kernel(3), bias=False)
        self.norm2 = SparseInstanceNorm(num_out)
        self.shortcut = shortcut

    def forward(
        self, features: Float[Tensor, "n cin"], source: SparseVoxels, target: SparseVoxels, book: PlanBook
    ) -> Float[Tensor, "m cout"]:
        hidden = self.conv1(features, book.plan(source, target, self.conv1.kernel))
        hidden = rectified(self.norm1(hidden, target, is_fresh=True))
        hidden = self.conv2(hidden, book.plan(target, target, self.conv2.kernel))
        hidden = self.norm2(hidden, target, is_fresh=True)
        beside = features if self.shortcut is None else self.shortcut(features, source, target, book)
        return rectified(hidden + beside if torch.is_grad_enabled() else hidden.add_(beside))


class DenseBlock(nn.Module):
    """The same on a full grid; its norms have no parameters."""

    def __init__(self, num_in: int, num_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(num_in, num_out, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv3d(num_out, num_out, 3, padding=1, bias=False)
        self.shortcut = None
        if stride != 1:
            self.shortcut = nn.Conv3d(num_in, num_out, 4, stride, padding=1, bias=False)

    def forward(self, x: Float[Tensor, "b cin x y z"]) -> Float[Tensor, "b cout x2 y2 z2"]:
        return self.finished(_convolved(self.conv1, x), x if self.shortcut is None else self.shortcut(x))

    def finished(
        self, hidden: Float[Tensor, "b cout x y z"], beside: Float[Tensor, "b cout x y z"]
    ) -> Float[Tensor, "b cout x y z"]:
        """What comes behind the first convolution and the shortcut."""
        hidden = F.relu(F.instance_norm(hidden))
        return F.relu(F.instance_norm(_convolved(self.conv2, hidden)) + beside)


def _convolved(layer: nn.Conv3d, x: Float[Tensor, "b cin x y z"]) -> Float[Tensor, "b cout x2 y2 z2"]:
    """The layer without a bias; at stride 1, for inference on a CPU, by the tiles of the sparse engine."""
    if layer.stride[0] == 1 and is_inference_on_a_cpu(x, layer.weight):
        plan = _whole_grid(x.shape[0], (x.shape[2], x.shape[3], x.shape[4]))
        rows, weight = x.permute(0, 2, 3, 4, 1).reshape(-1, x.shape[1]), from_dense_weight(layer.weight)
        tiles = tiles_for(plan, Widths.of(rows, weight, "coarse"))
        if not isinstance(tiles, str):
            made = conv_in_tiles(rows, weight, plan, tiles)
            return made.view(x.shape[0], *x.shape[2:], -1).permute(0, 4, 1, 2, 3)
    return layer(x)


@lru_cache(maxsize=4)
def _whole_grid(batch_size: int, shape: tuple[int, int, int]) -> Plan:
    every = all_voxels(batch_size, shape)
    return make_plan(every, every, Kernel(3), SparseConfig(tile=4))


class DenseBlocks(nn.Sequential):
    """One after the other."""

    def __iter__(self) -> Iterator[DenseBlock]:
        return super().__iter__()  # pyright: ignore[reportReturnType] - they are all of this kind


class SparseHead(nn.Module):
    """Norm, block, convolution: the heads of the finest level."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.norm = SparseInstanceNorm(num_in)
        self.block = SparseBlock(num_in, num_in)
        self.out = SparseConv3d(num_in, num_out, Kernel(3))

    def forward(
        self, features: Float[Tensor, "n cin"], voxels: SparseVoxels, book: PlanBook
    ) -> Float[Tensor, "n cout"]:
        hidden = self.block(rectified(self.norm(features, voxels)), voxels, voxels, book)
        return self.out(hidden, book.plan(voxels, voxels, self.out.kernel))


class SparseTail(nn.Module):
    """Block, convolution: the heads of the middle level."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.block = SparseBlock(num_in, num_in)
        self.out = SparseConv3d(num_in, num_out, Kernel(3))

    def forward(
        self, features: Float[Tensor, "n cin"], voxels: SparseVoxels, book: PlanBook
    ) -> Float[Tensor, "n cout"]:
        hidden = self.block(features, voxels, voxels, book)
        return self.out(hidden, book.plan(voxels, voxels, self.out.kernel))


class DenseTail(nn.Module):
    """Two blocks, convolution: the heads of the coarsest level."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.blocks = DenseBlocks(DenseBlock(num_in, num_in), DenseBlock(num_in, num_in))
        self.out = nn.Conv3d(num_in, num_out, 3, padding=1)

    def forward(self, x: Float[Tensor, "b cin x y z"]) -> Float[Tensor, "b cout x y z"]:
        return self.out(self.blocks(x))
