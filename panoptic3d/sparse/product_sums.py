"""Convolution by products first: every source times every tap, then each row adds up what its neighbours hold ready for it.

A gather copies as many values as come in, for each tap; sums of products read as many as go out. In exchange sources are
multiplied for rows that are not there, which pays where most are (thick sets, voxels just made) and little goes out. Products
of a block are made and read while they are in the cache, and added in the order of the taps: the same bits every time.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panoptic3d.sparse.backends.protocol import Writes
from panoptic3d.sparse.lines import LINE_TAPS, LinedRows
from panoptic3d.sparse.parallel import over_blocks
from panoptic3d.sparse.plan import Plan
from panoptic3d.sparse.sides import Side
from panoptic3d.sparse.sum_blocks import SumBlock, sum_blocks

_MOST_OUT, _LEAST_OUT = 32, 8  # channels; the limits are measured (docs/sparse.md)
_MOST_OUT_OF_THIN = 16
_LEAST_FILL, _LEAST_FILL_OF_LINES = 0.7, 0.7
_MOST_IN_OF_LINES = 16
_WHOLE_LANES = 16  # products of 13 columns take twice as long as those of 16


@dataclass(frozen=True, eq=False)
class ProductSums:
    """Blocks of a side, with its taps; with `lines` the sources are those of `lines.spread`, and a tap is a line of taps."""

    blocks: tuple[SumBlock, ...]
    num_rows: int
    num_planes: int
    lines: LinedRows | None

    def __call__(
        self, features: Float[Tensor, "m cin"], weight: Float[Tensor, "t cin cout"]
    ) -> Float[Tensor, "n cout"]:
        num_out = weight.shape[2]
        weight = F.pad(weight, (0, -num_out % _WHOLE_LANES))
        sources = features if self.lines is None else self.lines.spread(features)
        planes = _by_plane(weight, self.num_planes, sources.shape[1])
        out = features.new_empty(self.num_rows, weight.shape[2])

        def work(block: SumBlock) -> None:
            products = sources.new_empty(block.num_products + 1, weight.shape[2])
            _multiply(sources, planes, block, products)
            out[block.first : block.last] = F.embedding_bag(block.numbers, products, mode="sum")

        for _ in over_blocks(work, self.blocks, features.device):
            pass
        return out if num_out == out.shape[1] else out[:, :num_out].contiguous()


def product_sums(plan: Plan, writes: Writes, num_in: int, num_out: int) -> ProductSums | None:
    """Kept by the plan; None where a gather is faster."""
    if plan.fine.device.type != "cpu" or not _LEAST_OUT <= num_out <= _MOST_OUT or num_in < num_out:
        return None
    if plan.is_mirrored:
        return _submanifold(plan, num_in, num_out) if writes == "coarse" else None
    if writes == "coarse" or plan.kernel.size < 2:
        return None
    side = plan.side(writes)
    num_read = sum(len(part.base) * len(part.taps) for part in side.classes)
    if num_read < side.num_sources * plan.kernel.num_taps:
        return None
    return _made(plan, writes, side, None, num_out)


def _submanifold(plan: Plan, num_in: int, num_out: int) -> ProductSums | None:
    if (plan.kernel.size, plan.kernel.dilation) != (LINE_TAPS, 1) or not len(plan.fine):
        return None
    lines = plan.lined_rows()
    if num_out > _MOST_OUT_OF_THIN or lines.fill < _LEAST_FILL:
        return None
    if num_in <= _MOST_IN_OF_LINES:
        return _made(plan, "lines", plan.side("lines"), lines, num_out)
    return _made(plan, "coarse", plan.side("coarse"), None, num_out)


def _made(plan: Plan, writes: str, side: Side, lines: LinedRows | None, num_out: int) -> ProductSums:
    size = plan.kernel.size
    taps_of_plane = size if lines is not None else size**2
    num_products = side.num_sources * size * taps_of_plane
    bytes_of_row = 4 * (num_out + -num_out % _WHOLE_LANES) * num_products // max(side.num_rows, 1)
    rows_per_block = max(plan.config.gather_bytes // 2 // max(bytes_of_row, 1), 64)
    blocks = plan.kept(("sums", writes, rows_per_block), lambda: sum_blocks(side, size, taps_of_plane, rows_per_block))
    return ProductSums(blocks, side.num_rows, size, lines)


def _by_plane(weight: Float[Tensor, "t cin cout"], num_planes: int, num_in: int) -> Float[Tensor, "p k tcout"]:
    """For each plane the matrix from a source to its products, tap after tap."""
    taps = weight.reshape(num_planes, -1, num_in, weight.shape[2])
    return taps.transpose(1, 2).flatten(2).contiguous()


def _multiply(
    sources: Float[Tensor, "m k"], planes: Float[Tensor, "p k tcout"], block: SumBlock, out: Float[Tensor, "q cout"]
) -> None:
    start, num_out = 0, out.shape[1]
    for (low, high), taps in zip(block.spans, planes, strict=True):
        end = start + (high - low) * (taps.shape[1] // num_out)
        torch.mm(sources[low:high], taps, out=out[start:end].view(high - low, taps.shape[1]))
        start = end
    out[start:] = 0
