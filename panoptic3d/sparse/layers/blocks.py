"""Residual and bottleneck blocks. A block takes the voxels that it reads and writes, and a book of plans."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.layers.convolution import SparseConv3d
from panoptic3d.sparse.layers.norms import NormName, norm_layer
from panoptic3d.sparse.plan import PlanBook
from panoptic3d.structures.sparse_voxels import SparseVoxels

_POINTWISE = Kernel(1)


def rectified(fresh: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    """ReLU, in place if no gradient is needed. The caller must hold the only reference to the tensor."""
    return F.relu(fresh, inplace=not torch.is_grad_enabled())


class ConvNorm(nn.Module):
    """A convolution and a norm. A bias in front of a norm does nothing, but some published weights have one."""

    def __init__(self, num_in: int, num_out: int, kernel: Kernel, norm: NormName, bias: bool = False) -> None:
        super().__init__()
        self.conv = SparseConv3d(num_in, num_out, kernel, bias=bias or norm == "none")
        self.norm = norm_layer(norm, num_out)

    def forward(
        self, features: Float[Tensor, "n cin"], source: SparseVoxels, target: SparseVoxels, book: PlanBook
    ) -> Float[Tensor, "m cout"]:
        made = self.conv(features, book.plan(source, target, self.conv.kernel))
        return self.norm(made, target, is_fresh=True)


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions beside a shortcut. With a stride, `target` is the coarsened set and the shortcut strides too."""

    def __init__(
        self,
        num_in: int,
        num_out: int,
        stride: int = 1,
        norm: NormName = "instance",
        shortcut: Kernel | None = None,
        shortcut_bias: bool = False,
    ) -> None:
        super().__init__()
        self.first = ConvNorm(num_in, num_out, Kernel(3, stride), norm)
        self.second = ConvNorm(num_out, num_out, Kernel(3), norm)
        kernel = shortcut or (_POINTWISE if stride == 1 else Kernel(stride, stride))
        needs_shortcut = stride > 1 or num_in != num_out or shortcut is not None
        self.shortcut = ConvNorm(num_in, num_out, kernel, norm, shortcut_bias) if needs_shortcut else None

    def forward(
        self, features: Float[Tensor, "n cin"], source: SparseVoxels, target: SparseVoxels, book: PlanBook
    ) -> Float[Tensor, "m cout"]:
        hidden = rectified(self.first(features, source, target, book))
        hidden = self.second(hidden, target, target, book)
        beside = features if self.shortcut is None else self.shortcut(features, source, target, book)
        return rectified(hidden + beside)
