"""Which products of a source and a tap each row of a side adds up, in blocks of rows.

Neighbours of consecutive rows through the taps of one plane (across the first axis) are consecutive sources, but for gaps and
a line or two at the ends, because a tap moves all cells by the same number. So a block needs one run of sources a plane.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Int32, Int64
from torch import Tensor

from panoptic3d.sparse.kernel_map import Side, TapClass
from panoptic3d.sparse.runtime.parallel import over_blocks


@dataclass(frozen=True, eq=False)
class SumBlock:
    """A block of output rows `first .. last-1`. Sources `spans[p][0] .. spans[p][1]-1` meet all taps of plane p. Products
    are numbered plane by plane, source by source, tap by tap. Row r adds up the products `numbers[r]`; `num_products`
    stands for zero.
    """

    first: int
    last: int
    spans: tuple[tuple[int, int], ...]
    num_products: int
    numbers: Int32[Tensor, "m k"]


def sum_blocks(side: Side, num_planes: int, taps_of_plane: int, rows_per_block: int) -> tuple[SumBlock, ...]:
    """Taps `p * taps_of_plane .. (p + 1) * taps_of_plane - 1` lie in plane p."""
    num_blocks = -(-side.num_rows // rows_per_block)
    edges = [side.num_rows * b // num_blocks for b in range(num_blocks + 1)] if num_blocks else []

    def work(span: tuple[int, int]) -> SumBlock:
        parts = [_part(tap_class, *span) for tap_class in side.classes]
        parts = [part for part in parts if len(part.base)]
        spans = [_sources(side, parts, plane, taps_of_plane) for plane in range(num_planes)]
        return _block(side, parts, spans, taps_of_plane, *span)

    return tuple(over_blocks(work, list(pairwise(edges)), side.table.numbers.device))


class _Part(NamedTuple):
    """The rows of a class in a block, counted from the block's first, and their cells."""

    tap_class: TapClass
    rows: Int64[Tensor, " m"] | None  # None stands for all
    base: Int64[Tensor, " m"]


def _part(tap_class: TapClass, first: int, last: int) -> _Part:
    if tap_class.rows is None:
        return _Part(tap_class, None, tap_class.base[first:last])
    a, b = torch.searchsorted(tap_class.rows, tap_class.rows.new_tensor([first, last])).tolist()
    return _Part(tap_class, tap_class.rows[a:b] - first, tap_class.base[a:b])


def _sources(side: Side, parts: list[_Part], plane: int, taps_of_plane: int) -> tuple[int, int]:
    """First and last source that the rows may read through the taps of a plane."""
    ends = []
    for part in parts:
        taps = zip(part.tap_class.taps, part.tap_class.deltas, strict=True)
        deltas = [delta for tap, delta in taps if tap // taps_of_plane == plane]
        if deltas:
            ends += [int(part.base[0]) + min(deltas), int(part.base[-1]) + max(deltas)]
    if not ends:
        return 0, 0
    numbers = side.table.numbers
    low, high = torch.searchsorted(numbers, numbers.new_tensor([min(ends), max(ends) + 1])).tolist()
    return low, high


def _block(
    side: Side, parts: list[_Part], spans: list[tuple[int, int]], taps_of_plane: int, first: int, last: int
) -> SumBlock:
    ahead, total = [], 0  # number of a plane's first product, as if its sources were all sources
    for low, high in spans:
        ahead.append(total - low * taps_of_plane)
        total += (high - low) * taps_of_plane
    width = max((len(part.tap_class.taps) for part in parts), default=1)
    numbers = torch.full((last - first, width), total, dtype=torch.int32, device=side.table.numbers.device)
    for tap_class, rows, base in parts:
        cells = tap_class.cells(base.to(side.table.number_type))
        found, missing = side.table.rows_and_missing(cells.view(-1))
        shift = numbers.new_tensor([ahead[tap // taps_of_plane] + tap % taps_of_plane for tap in tap_class.taps])
        made = found.view(cells.shape).mul_(taps_of_plane).add_(shift)
        made.view(-1).index_fill_(0, missing, total)
        if rows is None:
            numbers = made
        else:
            numbers[rows, : made.shape[1]] = made
    return SumBlock(first, last, tuple(spans), total, numbers)
