"""Convolution by products first: multiply every source with every tap, then sum for each row what its neighbours prepared.

A gather copies as many values as come in, for each tap; sums of products read as many as go out. In exchange sources are
multiplied for rows that are not there, which pays where most are (thick sets, voxels just made) and little goes out. Products
of a block are made and read while they are in the cache, and added in the order of the taps: the same bits every time.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.kernel_map import Side
from panoptic3d.sparse.plan import Plan
from panoptic3d.sparse.runtime.parallel import over_blocks
from panoptic3d.sparse.runtime.scratch import Shelf
from panoptic3d.sparse.torch.limits import MOST_IN_OF_LINED_SUMS
from panoptic3d.sparse.torch.line_taps import LinedRows
from panoptic3d.sparse.torch.product_blocks import SumBlock, sum_blocks
from panoptic3d.sparse.torch.upsample_cells import Subcells, subcells_of, weight_of_cells
from panoptic3d.sparse.torch.work_order import lines_of, side_of_lines

_WHOLE_LANES = 16  # products of 13 columns take twice as long as those of 16


@dataclass(frozen=True, eq=False)
class ProductSums:
    """Blocks of a side, with its taps; with `lines` the sources are those of `lines.spread`, and a tap is a line of taps."""

    blocks: tuple[SumBlock, ...]
    num_rows: int
    num_planes: int
    lines: LinedRows | None = None

    def __call__(
        self, features: Float[Tensor, "m cin"], weight: Float[Tensor, "t cin cout"]
    ) -> Float[Tensor, "n cout"]:
        num_out = weight.shape[2]
        weight = F.pad(weight, (0, -num_out % _WHOLE_LANES))
        sources = features if self.lines is None else self.lines.spread(features)
        planes = _by_plane(weight, self.num_planes, sources.shape[1])
        out, shelf = features.new_empty(self.num_rows, weight.shape[2]), Shelf(features)

        def work(block: SumBlock) -> None:
            with shelf.scratch() as scratch:
                products = scratch.take(block.num_products + 1, weight.shape[2])
                _multiply(sources, planes, block, products)
                out[block.first : block.last] = F.embedding_bag(block.numbers, products, mode="sum")

        over_blocks(work, self.blocks, features.device)
        return out if num_out == out.shape[1] else out[:, :num_out].contiguous()


@dataclass(frozen=True, eq=False)
class StepUp:
    """Sums for the cells of the coarse lattice, and the fine rows picked from them."""

    sums: ProductSums
    subcells: Subcells
    kernel: Kernel

    def __call__(
        self, features: Float[Tensor, "m cin"], weight: Float[Tensor, "t cin cout"]
    ) -> Float[Tensor, "n cout"]:
        cells = self.sums(features, weight_of_cells(weight, self.kernel))
        return cells.view(-1, weight.shape[2]).index_select(0, self.subcells.places)


def sums_of_set(plan: Plan, num_in: int, num_out: int) -> ProductSums:
    """Product sums of a convolution within one set, with 3^3 taps."""
    if num_in > MOST_IN_OF_LINED_SUMS:
        side = plan.side("coarse")
        return ProductSums(_blocks(plan, "taps", side, (3, 9), num_out), side.num_rows, 3)
    side = side_of_lines(plan)
    return ProductSums(_blocks(plan, "lines", side, (3, 3), num_out), side.num_rows, 3, lines_of(plan))


def sums_of_step_up(plan: Plan, num_out: int) -> StepUp:
    """Plan of an upsampling step from a coarser to a finer set, with as many taps per axis as the stride."""
    subcells = kept_subcells(plan)
    num_taps, num_wide = subcells.num_taps, num_out * plan.kernel.stride**3
    blocks = _blocks(plan, "subcells", subcells.side, (num_taps, num_taps**2), num_wide)
    return StepUp(ProductSums(blocks, subcells.side.num_rows, num_taps), subcells, plan.kernel)


def kept_subcells(plan: Plan) -> Subcells:
    return plan.kept("subcells", lambda: subcells_of(plan.fine, plan.coarse, plan.kernel, plan.config.table_bytes))


def _blocks(plan: Plan, name: str, side: Side, taps: tuple[int, int], num_out: int) -> tuple[SumBlock, ...]:
    """`taps`: planes, and taps of each. Products of a block are half as large as a gather may be."""
    wide = num_out + -num_out % _WHOLE_LANES
    bytes_of_row = 4 * wide * taps[0] * taps[1] * side.num_sources // side.num_rows
    rows_per_block = max(plan.config.gather_bytes // 2 // max(bytes_of_row, 1), 64)
    return plan.kept(("sums", name, rows_per_block), lambda: sum_blocks(side, *taps, rows_per_block))


def _by_plane(weight: Float[Tensor, "t cin cout"], num_planes: int, num_in: int) -> Float[Tensor, "p k tcout"]:
    """Weights by planes of taps: each matrix maps a source to the products with all taps of its plane, side by side."""
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
