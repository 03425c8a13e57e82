"""In which order a side is worked off: rows that read through the same taps come together.

The taps of a class are cut into groups of at most nine. Within a block of rows and a group, rows are sorted by the
pattern of their occupied taps, along a Gray code, so that patterns that differ in one tap are neighbours; rows that
read nothing are left out. Consecutive patterns are merged into one chunk as long as the products with zeros that this
adds cost less than one more call. A chunk is a gather and one matrix product. Each writes its own partial sums, and
every row adds up its at most `width` partial sums in a fixed order: no scatter, no atomics, the same bits every time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int, Int16, Int32, Int64
from torch import Tensor

from panoptic3d.sparse.kernel_map import Side, TapClass
from panoptic3d.sparse.runtime.parallel import over_blocks

_MAX_GROUP_TAPS = 9
_BLOCKS_TOGETHER, _MIN_BLOCK_ROWS = 4, 4096


class Chunk(NamedTuple):
    """Row `rows[i]` reads the sources `sources[i*num_taps : (i+1)*num_taps]`; its partial sum is number `start + i`."""

    start: int
    num_rows: int
    num_taps: int
    tap_range: tuple[int, int] | None  # when the taps are consecutive
    taps: Tensor  # int64, the taps' numbers
    sources: Tensor  # int32; undefined without a voxel (on a GPU: the number of rows)
    missing: Tensor | None  # int64: indices in `sources` without a voxel
    rows: Tensor  # int32


@dataclass(frozen=True, eq=False)
class Block:
    """Rows `first .. last-1`. `partial_sums[r]` numbers what row r adds up; `num_partial_sums` stands for zero."""

    first: int
    last: int
    num_partial_sums: int
    partial_sums: Int32[Tensor, "m width"]
    chunks: tuple[Chunk, ...]


def schedule(side: Side, rows_per_block: int, max_waste: int) -> tuple[Block, ...]:
    """Divide a convolution into blocks of rows. To save a call, up to `max_waste` products with zero rows are accepted."""
    spans = _spans(side.num_rows, rows_per_block)
    runs = _runs_of_classes(side, spans)
    works = list(zip(spans, runs, strict=True))
    return tuple(over_blocks(lambda work: _block(side, *work, max_waste), works, side.table.numbers.device))


def _spans(num_rows: int, rows_per_block: int) -> list[tuple[int, int]]:
    """First and last row of equal blocks, a multiple of four if they are not tiny, so that threads have as much work each."""
    num_blocks = -(-num_rows // rows_per_block)
    if num_rows >= _BLOCKS_TOGETHER * _MIN_BLOCK_ROWS:
        num_blocks = -(-num_blocks // _BLOCKS_TOGETHER) * _BLOCKS_TOGETHER
    else:
        num_blocks = max(num_blocks, num_rows // _MIN_BLOCK_ROWS, min(num_rows, 1))
    return list(pairwise(num_rows * b // num_blocks for b in range(num_blocks + 1))) if num_blocks else []


def _runs_of_classes(side: Side, spans: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """For each block and each class in it: the range of the class's rows that lie in the block."""
    bounds = [first for first, _ in spans] + [side.num_rows]
    if not spans or not side.classes or side.classes[0].rows is None:
        return [[span] * len(side.classes) for span in spans]
    asked = torch.tensor(bounds, device=side.table.numbers.device)
    edges = torch.stack([torch.searchsorted(c.rows, asked) for c in side.classes if c.rows is not None]).tolist()
    return [[(of_class[b], of_class[b + 1]) for of_class in edges] for b in range(len(spans))]


def _block(side: Side, span: tuple[int, int], runs: list[tuple[int, int]], max_waste: int) -> Block:
    first, last = span
    groups = [_tap_groups(len(tap_class.taps)) for tap_class in side.classes]
    width = max((len(g) for g in groups), default=1)
    device = side.table.numbers.device
    partial_sums = torch.full((width, last - first), -1, dtype=torch.int32, device=device)
    chunks: list[Chunk] = []
    total = 0
    for tap_class, class_groups, (low, high) in zip(side.classes, groups, runs, strict=True):
        rows = None if tap_class.rows is None else tap_class.rows[low:high]
        base = tap_class.base[low:high].to(side.table.number_type)
        if not len(base):
            continue
        for column, (a, b) in enumerate(class_groups):
            chosen, made = _group(side, tap_class, (a, b), rows, base, max_waste, first, total)
            numbers = torch.arange(total, total + len(chosen), dtype=torch.int32, device=device)
            partial_sums[column].index_copy_(0, chosen - first, numbers)
            chunks.extend(made)
            total += len(chosen)
    partial_sums[partial_sums < 0] = total
    return Block(first, last, total, partial_sums.t().contiguous(), tuple(chunks))


def _group(
    side: Side,
    tap_class: TapClass,
    span: tuple[int, int],
    rows: Int64[Tensor, " m"] | None,
    base: Int[Tensor, " m"],
    max_waste: int,
    first: int,
    start: int,
) -> tuple[Int64[Tensor, " p"], list[Chunk]]:
    """Rows with at least one source under these taps, sorted by their pattern of taps, and the chunks made of them."""
    if base.device.type != "cpu":
        return _whole_group(side, tap_class, span, rows, base, first, start)
    taps = tap_class.taps[slice(*span)]
    rank = _gray_rank(side.table.has(tap_class.cells(base, *span)))
    counts = torch.bincount(rank, minlength=1 << len(taps)).tolist()
    order = _ascending(rank)[counts[0] :]
    chosen = order + first if rows is None else rows.index_select(0, order)
    if not len(chosen):
        return chosen, []
    runs = list(_merged(counts, max_waste))
    is_gathered, numbers = _used(runs, taps, base.device)
    cells = tap_class.cells(base.index_select(0, order), *span).masked_select(is_gathered)
    sources, missing = side.table.rows_and_missing(cells)
    return chosen, _chunks(sources, _by_run(missing, runs), chosen.int(), numbers, taps, runs, start)


def _whole_group(
    side: Side,
    tap_class: TapClass,
    span: tuple[int, int],
    rows: Int64[Tensor, " m"] | None,
    base: Int[Tensor, " m"],
    first: int,
    start: int,
) -> tuple[Int64[Tensor, " p"], list[Chunk]]:
    """On a GPU: one chunk of all rows, which read through all taps, from a row of zeros behind the last one where there is no
    voxel. Products with zeros cost it less than the CPU's waiting for the counts of patterns (docs/machines.md).
    """
    chosen = torch.arange(first, first + len(base), device=base.device) if rows is None else rows
    sources = side.table.rows(tap_class.cells(base, *span), absent=side.num_sources).view(-1)
    taps, numbers = tap_class.taps[slice(*span)], tap_class.tap_numbers[slice(*span)]
    tap_range = (taps[0], taps[-1] + 1) if taps[-1] - taps[0] == len(taps) - 1 else None
    return chosen, [Chunk(start, len(chosen), len(taps), tap_range, numbers, sources, None, chosen.int())]


def _chunks(
    sources: Int32[Tensor, " s"],
    missing: list[Int64[Tensor, " _"] | None],
    rows: Int32[Tensor, " m"],
    numbers: Int64[Tensor, " u"],
    taps: tuple[int, ...],
    runs: list["_Run"],
    start: int,
) -> list[Chunk]:
    """All chunks of a group are views of a few tensors: a set may have thousands, and a tensor costs microseconds."""
    parts = zip(
        runs,
        sources.split([run.num_sources for run in runs]),
        rows.split([run.num_rows for run in runs]),
        numbers.split([run.num_taps for run in runs]),
        missing,
        strict=True,
    )
    chunks = []
    for run, its_sources, its_rows, its_taps, its_missing in parts:
        tap_range = run.tap_range(taps)
        chunks.append(Chunk(start, run.num_rows, run.num_taps, tap_range, its_taps, its_sources, its_missing, its_rows))
        start += run.num_rows
    return chunks


def _used(
    runs: list["_Run"], taps: tuple[int, ...], device: torch.device
) -> tuple[Bool[Tensor, "m g"], Int64[Tensor, " u"]]:
    """Which taps the chunk of each row gathers, and the numbers of these taps, run after run."""
    patterns = torch.tensor([run.pattern for run in runs], dtype=torch.int32, device=device)
    lengths = torch.tensor([run.num_rows for run in runs], device=device)
    is_used = ((patterns[:, None] >> torch.arange(len(taps), dtype=torch.int32, device=device)) & 1).bool()
    numbers = torch.tensor(taps, device=device).expand(is_used.shape).masked_select(is_used)
    return is_used.repeat_interleave(lengths, dim=0), numbers


def _by_run(missing: Int64[Tensor, " z"], runs: list["_Run"]) -> list[Int64[Tensor, " _"] | None]:
    """Divide the indices in `missing` among the runs, each relative to the start of its run."""
    if not len(missing):
        return [None] * len(runs)
    sizes = torch.tensor([run.num_sources for run in runs], device=missing.device)
    ends = sizes.cumsum(0)
    counts = torch.searchsorted(missing, ends).diff(prepend=ends.new_zeros(1))
    places = missing - (ends - sizes).repeat_interleave(counts)
    return [part if len(part) else None for part in places.split(counts.tolist())]


class _Run(NamedTuple):
    """Consecutive rows of a group, and the union of their patterns of occupied taps."""

    num_rows: int
    pattern: int

    @property
    def num_taps(self) -> int:
        return self.pattern.bit_count()

    @property
    def num_sources(self) -> int:
        return self.num_rows * self.num_taps

    def tap_range(self, taps: tuple[int, ...]) -> tuple[int, int] | None:
        """First and last number of the taps, if these are consecutive; `taps` are those of the group."""
        low = taps[(self.pattern & -self.pattern).bit_length() - 1]
        high = taps[self.pattern.bit_length() - 1] + 1
        return (low, high) if high - low == self.num_taps else None


def _merged(counts: list[int], max_waste: int) -> Iterator[_Run]:
    """Patterns in Gray order, merged while the zeros that this multiplies are few."""
    size = union = 0
    for rank, count in enumerate(counts):
        if not count or not rank:
            continue
        pattern = rank ^ (rank >> 1)
        both = union | pattern
        waste = size * (both ^ union).bit_count() + count * (both ^ pattern).bit_count()
        if size and waste > max_waste:
            yield _Run(size, union)
            size, both = 0, pattern
        union, size = both, size + count
    if size:
        yield _Run(size, union)


def _gray_rank(is_there: Bool[Tensor, "m g"]) -> Int16[Tensor, " m"]:
    """Rank of the pattern of occupied taps in the reflected Gray code; 0 exactly for an empty pattern."""
    bits = torch.tensor([float(1 << t) for t in range(is_there.shape[1])], device=is_there.device)
    pattern = (is_there.float() @ bits).to(torch.int16)
    for shift in (1, 2, 4, 8):
        pattern = pattern ^ (pattern >> shift)
    return pattern


def _ascending(rank: Int16[Tensor, " m"]) -> Int64[Tensor, " m"]:
    """The stable order of ranks. On a CPU by numpy, whose radix sort of 16 bits is several times faster than torch's."""
    if rank.device.type == "cpu":
        return torch.from_numpy(np.argsort(rank.numpy(), kind="stable"))
    return torch.sort(rank, stable=True).indices


def _tap_groups(num_taps: int) -> list[tuple[int, int]]:
    """Nearly equal runs of at most nine taps."""
    num_groups = -(-num_taps // _MAX_GROUP_TAPS)
    edges = [num_taps * g // num_groups for g in range(num_groups + 1)]
    return list(pairwise(edges))
