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

import torch
from jaxtyping import Bool, Int16, Int32, Int64
from torch import Tensor

from panoptic3d.sparse.parallel import on_one_core
from panoptic3d.sparse.sides import Side, TapClass

_MAX_GROUP_TAPS = 9
_MIN_BLOCKS, _MIN_BLOCK_ROWS = 4, 4096


class Chunk(NamedTuple):
    """Row `rows[i]` reads the sources `sources[i*num_taps : (i+1)*num_taps]`; its partial sum is number `start + i`."""

    start: int
    num_rows: int
    num_taps: int
    tap_range: tuple[int, int] | None  # when the taps are consecutive
    taps: Tensor  # int64, the taps' numbers
    sources: Tensor  # int32; 0 where there is no voxel
    missing: Tensor | None  # int64, the places in `sources` where there is no voxel
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
    """`max_waste`: how many row-taps of zeros may be multiplied to save one call."""
    spans = _spans(side.num_rows, rows_per_block)
    return on_one_core(lambda: tuple(_block(side, *span, max_waste) for span in spans), side.table.numbers.device)


def _spans(num_rows: int, rows_per_block: int) -> list[tuple[int, int]]:
    """First and last row of equal blocks: four at least, if they are not tiny, so that several threads have work."""
    num_blocks = max(-(-num_rows // rows_per_block), min(_MIN_BLOCKS, num_rows // _MIN_BLOCK_ROWS), min(num_rows, 1))
    return list(pairwise(num_rows * b // num_blocks for b in range(num_blocks + 1))) if num_blocks else []


def _block(side: Side, first: int, last: int, max_waste: int) -> Block:
    groups = [_tap_groups(len(tap_class.taps)) for tap_class in side.classes]
    width = max((len(g) for g in groups), default=1)
    device = side.table.numbers.device
    partial_sums = torch.full((width, last - first), -1, dtype=torch.int32, device=device)
    chunks: list[Chunk] = []
    total = 0
    for tap_class, class_groups in zip(side.classes, groups, strict=True):
        rows, base = _within(tap_class, first, last)
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


def _within(tap_class: TapClass, first: int, last: int) -> tuple[Int64[Tensor, " m"] | None, Int64[Tensor, " m"]]:
    """The class's rows of a block (None when they are all of them), and their base cells."""
    if tap_class.rows is None:
        return None, tap_class.base[first:last]
    edges = torch.tensor([first, last], device=tap_class.rows.device)
    a, b = torch.searchsorted(tap_class.rows, edges).tolist()
    return tap_class.rows[a:b], tap_class.base[a:b]


def _group(
    side: Side,
    tap_class: TapClass,
    span: tuple[int, int],
    rows: Int64[Tensor, " m"] | None,
    base: Int64[Tensor, " m"],
    max_waste: int,
    first: int,
    start: int,
) -> tuple[Int64[Tensor, " p"], list[Chunk]]:
    """The rows that read anything through these taps, by pattern, and the chunks that they make."""
    taps, deltas = tap_class.taps[slice(*span)], tap_class.deltas[slice(*span)]
    found = side.table.rows_plus_one(base, deltas)
    rank, order = torch.sort(_gray_rank(found), stable=True)
    counts = torch.bincount(rank, minlength=1 << len(taps)).tolist()
    order = order[counts[0] :]
    chosen = order + first if rows is None else rows.index_select(0, order)
    if not len(chosen):
        return chosen, []
    found = found.index_select(0, order)
    return chosen, _chunks(found, chosen.int(), taps, list(_merged(counts, max_waste)), start)


def _chunks(
    found: Int32[Tensor, "m g"], rows: Int32[Tensor, " m"], taps: tuple[int, ...], runs: list["_Run"], start: int
) -> list[Chunk]:
    """All chunks of a group are views of a few tensors: a set may have thousands, and a tensor costs microseconds."""
    sources = torch.masked_select(found, _used(runs, len(taps), found.device)) - 1
    missing, missing_ends = _missing(sources, runs)
    sources.clamp_(min=0)
    by_pattern = {run.pattern: _taps_of(run.pattern, taps, found.device) for run in runs}
    chunks, row, source, first_missing = [], 0, 0, 0
    for run, last_missing in zip(runs, missing_ends, strict=True):
        numbers, tap_range = by_pattern[run.pattern]
        end = source + run.num_sources
        chunks.append(
            Chunk(
                start=start + row,
                num_rows=run.num_rows,
                num_taps=run.pattern.bit_count(),
                tap_range=tap_range,
                taps=numbers,
                sources=sources[source:end],
                missing=missing[first_missing:last_missing] if last_missing > first_missing else None,
                rows=rows[row : row + run.num_rows],
            )
        )
        row, source, first_missing = row + run.num_rows, end, last_missing
    return chunks


def _used(runs: list["_Run"], num_taps: int, device: torch.device) -> Bool[Tensor, "m g"]:
    """Which taps the chunk of each row gathers."""
    patterns = torch.tensor([run.pattern for run in runs], dtype=torch.int32, device=device)
    lengths = torch.tensor([run.num_rows for run in runs], device=device)
    bits = torch.arange(num_taps, dtype=torch.int32, device=device)
    return ((patterns[:, None] >> bits) & 1).bool().repeat_interleave(lengths, dim=0)


def _missing(sources: Int32[Tensor, " s"], runs: list["_Run"]) -> tuple[Int64[Tensor, " z"], list[int]]:
    """Places without a voxel, counted from the start of their chunk, and where those of each chunk end."""
    places = (sources < 0).nonzero()[:, 0]
    ends = torch.tensor([run.num_sources for run in runs], device=sources.device).cumsum(0)
    chunk = torch.searchsorted(ends, places, right=True)
    begins = torch.cat((ends.new_zeros(1), ends[:-1]))
    return places - begins[chunk], torch.searchsorted(places, ends).tolist()


def _taps_of(pattern: int, taps: tuple[int, ...], device: torch.device) -> tuple[Tensor, tuple[int, int] | None]:
    numbers = [tap for bit, tap in enumerate(taps) if pattern >> bit & 1]
    is_run = numbers[-1] - numbers[0] + 1 == len(numbers)
    return torch.tensor(numbers, device=device), (numbers[0], numbers[-1] + 1) if is_run else None


class _Run(NamedTuple):
    """Consecutive rows of a group, and the union of their patterns of occupied taps."""

    num_rows: int
    pattern: int

    @property
    def num_sources(self) -> int:
        return self.num_rows * self.pattern.bit_count()


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


def _gray_rank(found: Int32[Tensor, "m g"]) -> Int16[Tensor, " m"]:
    """Where the pattern of occupied taps stands in the reflected Gray code; 0 if and only if there is none."""
    bits = torch.tensor([float(1 << t) for t in range(found.shape[1])], device=found.device)
    pattern = ((found > 0).float() @ bits).to(torch.int16)
    for shift in (1, 2, 4, 8):
        pattern = pattern ^ (pattern >> shift)
    return pattern


def _tap_groups(num_taps: int) -> list[tuple[int, int]]:
    """Nearly equal runs of at most nine taps."""
    num_groups = -(-num_taps // _MAX_GROUP_TAPS)
    edges = [num_taps * g // num_groups for g in range(num_groups + 1)]
    return list(pairwise(edges))
