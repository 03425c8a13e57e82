"""The dense U-Net at 64^3 and below."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.models.frustum_unet.blocks import DenseBlock, DenseBlocks
from panoptic3d.sparse.convolution import conv
from panoptic3d.sparse.dense import to_dense
from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.plan import PlanBook
from panoptic3d.sparse.voxels import all_voxels
from panoptic3d.sparse.weights import from_dense_weight
from panoptic3d.structures.sparse_voxels import SparseVoxels


class _Entry(DenseBlocks):
    """A block of stride 2 and one of stride 1. The input is sparse: a few thousand voxels reach all that is not zero."""

    def forward(
        self, encoded: Float[Tensor, "n c"], voxels: SparseVoxels, book: PlanBook
    ) -> Float[Tensor, "b c2 x2 y2 z2"]:
        first, second = self
        half = halved(voxels)
        strided = [_conv_onto(layer, encoded, voxels, half, book) for layer in (first.conv1, first.shortcut)]
        return second(first.finished(*strided))


class Bottleneck(nn.Module):
    """Three levels down and up again; skips are concatenated in front. Twice the channels that go in come out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        a, b, c = 2 * width, 4 * width, 4 * width
        self.down = nn.ModuleList(
            kind(DenseBlock(num_in, num_out, 2), DenseBlock(num_out, num_out))
            for kind, num_in, num_out in ((_Entry, width, a), (nn.Sequential, a, b), (nn.Sequential, b, c))
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(num_in, num_out, 4, stride=2, padding=1, bias=False)
            for num_in, num_out in ((2 * a, width), (2 * b, a), (c, b))
        )

    def forward(
        self,
        encoded: Float[Tensor, "n c"],
        voxels: SparseVoxels,
        book: PlanBook,
        beside: Float[Tensor, "b cb xb yb zb"] | None = None,
    ) -> Float[Tensor, "b c2 x y z"]:
        """The whole grid at the voxels' level; cells without a voxel hold zeros on the way in."""
        return _up(self.up[0], self.inner(encoded, voxels, book, beside), to_dense(encoded, voxels))

    def inner(
        self,
        encoded: Float[Tensor, "n c"],
        voxels: SparseVoxels,
        book: PlanBook,
        beside: Float[Tensor, "b cb xb yb zb"] | None = None,
    ) -> Float[Tensor, "b c4 x2 y2 z2"]:
        """All but the last step up. `beside` is added at the first level down, for lifts of several scales."""
        first = self.down[0](encoded, voxels, book)
        skips = [first if beside is None else first + beside]
        for step in self.down[1:]:
            skips.append(step(skips[-1]))
        x = skips.pop()
        for step in reversed(self.up[1:]):
            x = _up(step, x, skips.pop())
        return x


def _up(step: nn.Module, x: Tensor, skip: Tensor) -> Tensor:
    return torch.cat((skip, F.relu(F.instance_norm(step(x)))), dim=1)


def halved(voxels: SparseVoxels) -> SparseVoxels:
    """Every cell of twice the stride."""
    nx, ny, nz = voxels.shape
    return all_voxels(voxels.batch_size, (nx // 2, ny // 2, nz // 2), 2 * voxels.stride, str(voxels.device))


def _conv_onto(
    layer: nn.Module | None, rows: Float[Tensor, "n c"], source: SparseVoxels, target: SparseVoxels, book: PlanBook
) -> Float[Tensor, "b c2 x y z"]:
    """A dense layer over sparse rows, onto the full grid `target`."""
    assert isinstance(layer, nn.Conv3d)
    kernel = Kernel(layer.kernel_size[0], layer.stride[0])
    return to_dense(conv(rows, from_dense_weight(layer.weight), book.plan(source, target, kernel)), target)
