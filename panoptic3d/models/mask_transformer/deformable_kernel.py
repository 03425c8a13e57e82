"""Deformable sampling as one Triton kernel. Imported only where Triton is there.

One program owns some queries of one head: it reads the four cells around each point straight from the tokens and adds them up
in registers, so that nothing sampled is written to memory. Its gradient is that of the readable twin, worked out anew.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_QUERIES_PER_PROGRAM = 32


@triton.jit
def _sample(
    values,
    locations,
    weights,
    sizes,
    starts,
    out,
    num_queries,
    num_tokens,
    num_channels,
    num_levels: tl.constexpr,
    num_points: tl.constexpr,
    queries_per_program: tl.constexpr,
    channels_wide: tl.constexpr,
):
    head = tl.program_id(0).to(tl.int64)  # of all images
    query = tl.program_id(1) * queries_per_program + tl.arange(0, queries_per_program)
    channel = tl.arange(0, channels_wide)
    is_query = query < num_queries
    is_channel = channel < num_channels
    total = tl.zeros((queries_per_program, channels_wide), dtype=tl.float32)
    first = (head * num_queries + query) * num_levels * num_points
    for level in range(num_levels):
        height = tl.load(sizes + 2 * level)
        width = tl.load(sizes + 2 * level + 1)
        token = head * num_tokens + tl.load(starts + level)
        for point in range(num_points):
            at = first + level * num_points + point
            x = tl.load(locations + 2 * at, mask=is_query, other=0.0) * width - 0.5
            y = tl.load(locations + 2 * at + 1, mask=is_query, other=0.0) * height - 0.5
            weight = tl.load(weights + at, mask=is_query, other=0.0)
            left = tl.floor(x)
            top = tl.floor(y)
            for corner in range(4):
                column = left + corner % 2
                row = top + corner // 2
                share = (1 - tl.abs(x - column)) * (1 - tl.abs(y - row)) * weight
                is_inside = is_query & (column >= 0) & (column < width) & (row >= 0) & (row < height)
                cell = token + row.to(tl.int64) * width + column.to(tl.int64)
                seen = tl.load(
                    values + cell[:, None] * num_channels + channel[None, :],
                    mask=is_inside[:, None] & is_channel[None, :],
                    other=0.0,
                )
                total += tl.where(is_inside, share, 0.0)[:, None] * seen
    target = out + (head * num_queries + query)[:, None] * num_channels + channel[None, :]
    tl.store(target, total, mask=is_query[:, None] & is_channel[None, :])


def sample(values: Tensor, sizes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    """`sample_and_sum` in float32."""
    values, locations, weights = (tensor.contiguous() for tensor in (values, locations, weights))
    batch, heads, num_queries, num_levels, num_points = weights.shape
    num_tokens, num_channels = values.shape[2:]
    counts = torch.tensor([h * w for h, w in sizes], dtype=torch.int64)
    starts = (counts.cumsum(0) - counts).to(values.device)
    out = values.new_empty(batch, heads, num_queries, num_channels)
    kernel: Any = _sample
    kernel[batch * heads, triton.cdiv(num_queries, _QUERIES_PER_PROGRAM)](
        values,
        locations,
        weights,
        torch.tensor(sizes, dtype=torch.int64, device=values.device),
        starts,
        out,
        num_queries,
        num_tokens,
        num_channels,
        num_levels=num_levels,
        num_points=num_points,
        queries_per_program=_QUERIES_PER_PROGRAM,
        channels_wide=triton.next_power_of_2(num_channels),
    )
    return out
