"""The level of 64^3 over the cells of the frustum alone: a sixth of the grid, in front of the camera.

The weights and the arithmetic are those of the dense modules; a cell outside counts as empty, and norms run over the frustum.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.models.frustum_unet.blocks import DenseBlock, DenseBlocks, DenseTail
from panoptic3d.models.frustum_unet.bottleneck import Bottleneck, halved
from panoptic3d.sparse.convolution import conv, conv_transpose
from panoptic3d.sparse.dense import from_dense
from panoptic3d.sparse.joining import moved_onto
from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.layers.blocks import rectified
from panoptic3d.sparse.norms import instance_norm
from panoptic3d.sparse.plan import PlanBook
from panoptic3d.sparse.weights import from_dense_transposed_weight, from_dense_weight
from panoptic3d.structures.sparse_voxels import SparseVoxels

_EPS = 1e-5  # of `F.instance_norm`


def rows_of_bottleneck(
    bottleneck: Bottleneck,
    encoded: Float[Tensor, "n c"],
    voxels: SparseVoxels,
    asked: SparseVoxels,
    book: PlanBook,
    beside: Float[Tensor, "b cb xb yb zb"] | None = None,
) -> Float[Tensor, "m c2"]:
    """Skip and decoder of the asked cells. Below 64^3 everything is dense."""
    inner, half = bottleneck.inner(encoded, voxels, book, beside), halved(voxels)
    plan, last_up = book.plan(asked, half, Kernel(4, 2)), bottleneck.up[0]
    assert isinstance(last_up, nn.ConvTranspose3d)
    made = conv_transpose(from_dense(inner, half), from_dense_transposed_weight(last_up.weight), plan)
    made = rectified(instance_norm(made, asked, eps=_EPS, is_fresh=True))
    return torch.cat((moved_onto(encoded, voxels, asked), made), dim=1)


def rows_of_tail(
    tail: DenseTail, rows: Float[Tensor, "n c"], asked: SparseVoxels, book: PlanBook
) -> Float[Tensor, "n cout"]:
    return _conv(tail.out, rows_of_blocks(tail.blocks, rows, asked, book), asked, book)


def rows_of_blocks(
    blocks: DenseBlocks, rows: Float[Tensor, "n c"], asked: SparseVoxels, book: PlanBook
) -> Float[Tensor, "n c"]:
    for block in blocks:
        rows = _block(block, rows, asked, book)
    return rows


def _block(block: DenseBlock, rows: Float[Tensor, "n c"], asked: SparseVoxels, book: PlanBook) -> Float[Tensor, "n c"]:
    assert block.shortcut is None
    hidden = rectified(instance_norm(_conv(block.conv1, rows, asked, book), asked, eps=_EPS, is_fresh=True))
    hidden = instance_norm(_conv(block.conv2, hidden, asked, book), asked, eps=_EPS, is_fresh=True)
    return rectified(hidden + rows)


def _conv(
    layer: nn.Conv3d, rows: Float[Tensor, "n cin"], asked: SparseVoxels, book: PlanBook
) -> Float[Tensor, "n cout"]:
    return conv(rows, from_dense_weight(layer.weight), book.plan(asked, asked, Kernel(3)), layer.bias)
