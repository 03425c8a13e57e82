"""The arithmetic of the `torch` back end: gather, one matrix product per chunk, a fixed-order sum per row."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panoptic3d.sparse.runtime.parallel import over_blocks
from panoptic3d.sparse.torch.chunk_schedule import Block, Chunk
from panoptic3d.sparse.torch.work_order import WorkOrder

_PARTS_AT_ONCE = 16  # gradients of the weight, one a block, that wait for being added


def apply_taps(
    features: Float[Tensor, "m cin"],
    weight: Float[Tensor, "t cin cout"],
    schedule: WorkOrder,
    num_rows: int,
    gather_bytes: int,
) -> Float[Tensor, "n cout"]:
    """`out[r] = sum over taps of features[neighbour(r, tap)] @ weight[tap]`."""
    features, weight = schedule.sources(features), schedule.weights(weight)
    out = features.new_empty(num_rows, weight.shape[2])
    shelf = _Shelf(schedule, features, weight.shape[2], gather_bytes, needs_rows=False)

    def work(block: Block) -> None:
        with shelf.scratch() as scratch:
            for chunk in block.chunks:
                taps = _weight_of(chunk, weight)
                for piece in _pieces(chunk, shelf.step):
                    gathered = _gather(features, chunk, piece, scratch.sources)
                    torch.mm(gathered, taps, out=scratch.sums[chunk.start + piece.first : chunk.start + piece.last])
            _add_up(block, scratch.sums, out)

    over_blocks(work, schedule.blocks, features.device)
    return out


def apply_taps_and_correlate(
    gradient: Float[Tensor, "m cout"],
    weight: Float[Tensor, "t cin cout"],
    features: Float[Tensor, "n cin"],
    schedule: WorkOrder,
    gather_bytes: int,
    needs: tuple[bool, bool],
) -> tuple[Float[Tensor, "n cin"] | None, Float[Tensor, "t cin cout"] | None]:
    """Both gradients of a convolution from one gather: rows of `schedule` are the rows that the convolution read.

    `by_features[r] = sum over taps of gradient[neighbour(r, tap)] @ weight[tap]^T`, and
    `by_weight[tap] = sum over rows of features[r]^T gradient[neighbour(r, tap)]`.
    """
    needs_features, needs_weight = needs
    num_taps, num_in, num_out = weight.shape
    gradient, turned = schedule.sources(gradient), schedule.weights(weight.transpose(1, 2))
    num_steps, num_at_once = len(turned), turned.shape[1]
    shelf = _Shelf(schedule, gradient, num_in, gather_bytes, needs_rows=needs_weight)
    by_features = gradient.new_empty(len(features), num_in) if needs_features else None
    wide = torch.promote_types(torch.float32, gradient.dtype)

    def work(block: Block) -> Tensor | None:
        by_weight = (
            torch.zeros(num_in, num_steps, num_at_once, dtype=wide, device=gradient.device) if needs_weight else None
        )
        with shelf.scratch() as scratch:
            for chunk in block.chunks:
                taps = _weight_of(chunk, turned) if needs_features else None
                for piece in _pieces(chunk, shelf.step):
                    a, b = piece.first, piece.last
                    gathered = _gather(gradient, chunk, piece, scratch.sources)
                    if taps is not None:
                        torch.mm(gathered, taps, out=scratch.sums[chunk.start + a : chunk.start + b])
                    if by_weight is not None:
                        rows = torch.index_select(features, 0, chunk.rows[a:b], out=scratch.rows[: b - a])
                        _add_taps(by_weight, chunk, torch.mm(rows.t(), gathered))
            if by_features is not None:
                _add_up(block, scratch.sums, by_features)
        return by_weight

    if not needs_weight:
        over_blocks(work, schedule.blocks, gradient.device)
        return by_features, None
    total = torch.zeros(num_in, num_steps, num_at_once, dtype=wide, device=gradient.device)
    for first in range(0, len(schedule.blocks), _PARTS_AT_ONCE):
        for part in over_blocks(work, schedule.blocks[first : first + _PARTS_AT_ONCE], gradient.device):
            assert part is not None
            total += part
    total = total.view(num_in, num_taps, num_out)
    total = total.flip(1) if schedule.is_flipped else total
    return by_features, total.transpose(0, 1).to(weight.dtype)


@dataclass(eq=False)
class _Scratch:
    """Buffers of one thread: gathered sources, gathered rows, partial sums."""

    sources: Tensor
    rows: Tensor
    sums: Tensor


class _Shelf:
    """Scratch that lives for one call and is handed from block to block. `step`: sources that one product may gather."""

    def __init__(self, schedule: WorkOrder, like: Tensor, num_out: int, gather_bytes: int, needs_rows: bool) -> None:
        num_in = like.shape[1]
        self.step = max(64, gather_bytes // (max(num_in, 1) * like.element_size()))
        chunks = [chunk for block in schedule.blocks for chunk in block.chunks]
        sources = max((min(len(c.sources), max(self.step, c.num_taps)) for c in chunks), default=0)
        rows = max((min(c.num_rows, max(self.step // c.num_taps, 1)) for c in chunks), default=0) if needs_rows else 0
        sums = max((block.num_partial_sums for block in schedule.blocks), default=0) + 1
        self._make = lambda: _Scratch(
            like.new_empty(sources, num_in), like.new_empty(rows, num_out), like.new_empty(sums, num_out)
        )
        self._free: deque[_Scratch] = deque()  # appends and pops of a deque are atomic

    @contextmanager
    def scratch(self) -> Iterator[_Scratch]:
        try:
            own = self._free.pop()
        except IndexError:
            own = self._make()
        yield own
        self._free.append(own)


class _Piece(NamedTuple):
    """Rows `first .. last-1` of a chunk, and its missing sources counted from the piece's start."""

    first: int
    last: int
    missing: Tensor | None


def _pieces(chunk: Chunk, step: int) -> list[_Piece]:
    """Equal runs of the chunk's rows that gather at most `step` sources each."""
    num_pieces = -(-chunk.num_rows // max(step // chunk.num_taps, 1))
    if num_pieces == 1:
        return [_Piece(0, chunk.num_rows, chunk.missing)]
    edges = [chunk.num_rows * p // num_pieces for p in range(num_pieces + 1)]
    if chunk.missing is None:
        return [_Piece(a, b, None) for a, b in pairwise(edges)]
    starts = chunk.missing.new_tensor([edge * chunk.num_taps for edge in edges])
    marks = torch.searchsorted(chunk.missing, starts)
    missing = chunk.missing - starts[:-1].repeat_interleave(marks.diff())
    return [
        _Piece(a, b, part) for (a, b), part in zip(pairwise(edges), missing.split(marks.diff().tolist()), strict=True)
    ]


def _gather(features: Tensor, chunk: Chunk, piece: _Piece, buffer: Tensor) -> Float[Tensor, "m tc"]:
    """The piece's rows, the features of their taps side by side."""
    low, high = piece.first * chunk.num_taps, piece.last * chunk.num_taps
    gathered = torch.index_select(features, 0, chunk.sources[low:high], out=buffer[: high - low])
    if piece.missing is not None:
        gathered.index_fill_(0, piece.missing, 0)
    return gathered.view(piece.last - piece.first, -1)


def _weight_of(chunk: Chunk, weight: Tensor) -> Float[Tensor, "tc d"]:
    """The weights of the chunk's taps, one below the other."""
    taps = weight[slice(*chunk.tap_range)] if chunk.tap_range else weight.index_select(0, chunk.taps)
    return taps.reshape(-1, weight.shape[2])


def _add_taps(by_weight: Tensor, chunk: Chunk, product: Tensor) -> None:
    product = product.view(by_weight.shape[0], chunk.num_taps, -1).to(by_weight.dtype)
    if chunk.tap_range:
        by_weight[:, slice(*chunk.tap_range)] += product
    else:
        by_weight.index_add_(1, chunk.taps, product)


def _add_up(block: Block, sums: Tensor, out: Tensor) -> None:
    """Every row's partial sums, left to right; the number behind the last one stands for zero."""
    sums = sums[: block.num_partial_sums + 1]
    sums[-1] = 0
    target = out[block.first : block.last]
    if block.partial_sums.shape[1] == 1:
        torch.index_select(sums, 0, block.partial_sums[:, 0], out=target)
    else:
        target.copy_(F.embedding_bag(block.partial_sums, sums, mode="sum"))
