"""Fused gather-GEMM kernels for GPUs. Imported by `triton_backend` only, when Triton is there.

One program owns a tile of output rows and adds up its taps in a fixed order in registers: nothing gathered is written
to memory, nothing is scattered, and there are no atomics. Rows come sorted by their pattern of occupied taps, so most
tiles skip most of the taps that they do not have.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _gather_gemm(
    features,
    weight,
    neighbours,
    order,
    out,
    num_rows,
    num_in,
    num_out,
    num_taps: tl.constexpr,
    rows_per_tile: tl.constexpr,
    in_per_step: tl.constexpr,
    out_per_tile: tl.constexpr,
    precision: tl.constexpr,
):
    place = tl.program_id(0) * rows_per_tile + tl.arange(0, rows_per_tile)
    column = tl.program_id(1) * out_per_tile + tl.arange(0, out_per_tile)
    is_row = place < num_rows
    is_column = column < num_out
    row = tl.load(order + place, mask=is_row, other=0).to(tl.int64)
    total = tl.zeros((rows_per_tile, out_per_tile), dtype=tl.float32)
    for tap in range(num_taps):
        source = tl.load(neighbours + row * num_taps + tap, mask=is_row, other=-1).to(tl.int64)
        if tl.max(source, axis=0) >= 0:
            for start in range(0, num_in, in_per_step):
                channel = start + tl.arange(0, in_per_step)
                is_channel = channel < num_in
                gathered = tl.load(
                    features + source[:, None] * num_in + channel[None, :],
                    mask=(source >= 0)[:, None] & is_channel[None, :],
                    other=0.0,
                )
                taps = tl.load(
                    weight + (tap * num_in + channel[:, None]) * num_out + column[None, :],
                    mask=is_channel[:, None] & is_column[None, :],
                    other=0.0,
                )
                total = tl.dot(gathered, taps, total, input_precision=precision)
    target = out + row[:, None] * num_out + column[None, :]
    tl.store(target, total.to(out.dtype.element_ty), mask=is_row[:, None] & is_column[None, :])


@triton.jit
def _correlate(
    features,
    gradient,
    neighbours,
    order,
    partial,
    num_rows,
    num_in,
    num_out,
    rows_per_split,
    num_taps: tl.constexpr,
    rows_per_step: tl.constexpr,
    in_per_tile: tl.constexpr,
    out_per_tile: tl.constexpr,
    precision: tl.constexpr,
):
    tap = tl.program_id(0) % num_taps
    split = tl.program_id(0) // num_taps
    channel = tl.program_id(1) * in_per_tile + tl.arange(0, in_per_tile)
    column = tl.program_id(2) * out_per_tile + tl.arange(0, out_per_tile)
    is_channel = channel < num_in
    is_column = column < num_out
    total = tl.zeros((in_per_tile, out_per_tile), dtype=tl.float32)
    for start in range(0, rows_per_split, rows_per_step):
        place = split * rows_per_split + start + tl.arange(0, rows_per_step)
        is_row = (place < num_rows) & (start + tl.arange(0, rows_per_step) < rows_per_split)
        row = tl.load(order + place, mask=is_row, other=0).to(tl.int64)
        source = tl.load(neighbours + row * num_taps + tap, mask=is_row, other=-1).to(tl.int64)
        if tl.max(source, axis=0) >= 0:
            is_pair = source >= 0
            gathered = tl.load(
                features + source[None, :] * num_in + channel[:, None],
                mask=is_pair[None, :] & is_channel[:, None],
                other=0.0,
            )
            sent = tl.load(
                gradient + row[:, None] * num_out + column[None, :],
                mask=is_pair[:, None] & is_column[None, :],
                other=0.0,
            )
            total = tl.dot(gathered, sent, total, input_precision=precision)
    place_of_tap = (split * num_taps + tap).to(tl.int64) * num_in
    target = partial + (place_of_tap + channel[:, None]) * num_out + column[None, :]
    tl.store(target, total, mask=is_channel[:, None] & is_column[None, :])


_MIN_TILE, _MAX_TILE = 16, 64  # `tl.dot` takes no less than 16
_ROWS_PER_TILE, _ROWS_PER_STEP = 64, 64
_ROWS_PER_SPLIT = 16_384


def gather_gemm(features: Tensor, weight: Tensor, neighbours: Tensor, order: Tensor) -> Tensor:
    """`out[r] = sum over taps of features[neighbours[r, tap]] @ weight[tap]`, -1 being no neighbour."""
    num_rows, num_taps = neighbours.shape
    num_in, num_out = weight.shape[1:]
    out = features.new_empty(num_rows, num_out)
    if not num_rows:
        return out
    tile = _tile(num_out)
    grid = (triton.cdiv(num_rows, _ROWS_PER_TILE), triton.cdiv(num_out, tile))
    _gather_gemm[grid](  # pyright: ignore[reportIndexIssue] - a decorated kernel takes its grid so
        features,
        weight,
        neighbours,
        order,
        out,
        num_rows,
        num_in,
        num_out,
        num_taps=num_taps,
        rows_per_tile=_ROWS_PER_TILE,
        in_per_step=_tile(num_in),
        out_per_tile=tile,
        precision=_precision(),
    )
    return out


def correlate(features: Tensor, gradient: Tensor, neighbours: Tensor, order: Tensor) -> Tensor:
    """`by_weight[tap] = sum over rows of features[neighbours[r, tap]]^T gradient[r]` in float32, (tap, in, out)."""
    num_rows, num_taps = neighbours.shape
    num_in, num_out = features.shape[1], gradient.shape[1]
    num_splits = max(triton.cdiv(num_rows, _ROWS_PER_SPLIT), 1)
    partial = torch.zeros(num_splits, num_taps, num_in, num_out, dtype=torch.float32, device=features.device)
    if num_rows:
        tile_in, tile_out = _tile(num_in), _tile(num_out)
        grid = (num_splits * num_taps, triton.cdiv(num_in, tile_in), triton.cdiv(num_out, tile_out))
        _correlate[grid](  # pyright: ignore[reportIndexIssue]
            features,
            gradient,
            neighbours,
            order,
            partial,
            num_rows,
            num_in,
            num_out,
            min(num_rows, _ROWS_PER_SPLIT),
            num_taps=num_taps,
            rows_per_step=_ROWS_PER_STEP,
            in_per_tile=tile_in,
            out_per_tile=tile_out,
            precision=_precision(),
        )
    return partial.sum(0)


def _tile(num_channels: int) -> int:
    return min(max(triton.next_power_of_2(num_channels), _MIN_TILE), _MAX_TILE)


def _precision() -> str:
    """Full float32 unless the user allowed TF32 for torch's own products."""
    return "tf32" if torch.backends.cuda.matmul.allow_tf32 else "ieee"
