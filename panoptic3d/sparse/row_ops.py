"""Moving rows of features between sets, differentiable and without atomics.

`pick` and `place` move rows that are named once; `RowMix` is a fixed sparse matrix with its transpose for backward.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor


def pick(features: Float[Tensor, "n c"], rows: Int64[Tensor, " m"]) -> Float[Tensor, "m c"]:
    """`features[rows]` for distinct rows."""
    return _Pick.apply(features, rows)


def place(features: Float[Tensor, "m c"], rows: Int64[Tensor, " m"], num_rows: int) -> Float[Tensor, "n c"]:
    """The features at distinct rows of a zero matrix."""
    return features.new_zeros(num_rows, features.shape[1]).index_copy(0, rows, features)


def pick_found(features: Float[Tensor, "n c"], rows: Int64[Tensor, " m"]) -> Float[Tensor, "m c"]:
    """`features[rows]` for distinct rows, and zeros where a row is -1."""
    found = (rows >= 0).nonzero()[:, 0]
    return place(pick(features, rows[found]), found, len(rows))


class _Pick(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.num_rows = len(features)
        return features.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        return place(gradient, rows, ctx.num_rows), None


@dataclass(frozen=True, eq=False)
class RowMix:
    """`out[r]` is the weighted sum of the sources of row r: entries `starts[r] .. starts[r+1]-1`, added in that order."""

    num_sources: int
    starts: Int64[Tensor, " n1"]
    sources: Int64[Tensor, " e"]
    weights: Float[Tensor, " e"]
    _kept: dict = field(default_factory=dict, repr=False)

    @classmethod
    def build(
        cls,
        rows: Int64[Tensor, " e"],
        sources: Int64[Tensor, " e"],
        weights: Float[Tensor, " e"],
        num_rows: int,
        num_sources: int,
    ) -> "RowMix":
        """Entries in any order; those of one row keep theirs."""
        order = stable_order(rows, num_rows)
        starts = torch.searchsorted(rows[order], torch.arange(num_rows + 1, device=rows.device))
        return cls(num_sources, starts, sources[order], weights[order])

    @property
    def num_rows(self) -> int:
        return len(self.starts) - 1

    @property
    def transposed(self) -> "RowMix":
        if "transposed" not in self._kept:
            rows = torch.repeat_interleave(self.starts.diff())
            self._kept["transposed"] = RowMix.build(
                self.sources, rows, self.weights, num_rows=self.num_sources, num_sources=self.num_rows
            )
        return self._kept["transposed"]

    def __call__(self, features: Float[Tensor, "m c"]) -> Float[Tensor, "n c"]:
        return _Mix.apply(features, self)


def stable_order(numbers: Int64[Tensor, " n"], limit: int) -> Int64[Tensor, " n"]:
    """What sorts numbers of 0 .. limit - 1. On a CPU by numpy's radix sort of 16 bits, once or twice, which takes a fifth of
    the time of torch's sort.
    """
    if numbers.device.type != "cpu" or limit > 1 << 32:
        return torch.sort(numbers, stable=True).indices
    order = _radix_order(numbers)
    return order if limit <= 1 << 16 else order[_radix_order((numbers >> 16)[order])]


def _radix_order(numbers: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """By the lowest 16 bits."""
    return torch.from_numpy(np.argsort(numbers.numpy().astype(np.uint16), kind="stable"))


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, mix: RowMix) -> Tensor:
        ctx.mix = mix
        return _mixed(features, mix)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _mixed(gradient, ctx.mix.transposed), None


def _mixed(features: Tensor, mix: RowMix) -> Tensor:
    if not len(mix.sources) or not features.shape[1]:
        return features.new_zeros(mix.num_rows, features.shape[1])
    return F.embedding_bag(
        mix.sources,
        features.contiguous(),  # rows that lie together are summed many times faster
        mix.starts,
        mode="sum",
        per_sample_weights=mix.weights.to(features.dtype),
        include_last_offset=True,
    )
