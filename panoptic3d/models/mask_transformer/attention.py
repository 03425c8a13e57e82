"""Attention, pair attention and feed-forward steps of the joint decoder, each normalised behind its sum."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention with its residual and norm. Positions go to queries and keys, never to values."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.projections = nn.Parameter(torch.empty(3 * width, width))  # of queries, keys and values
        self.shifts = nn.Parameter(torch.zeros(3 * width))
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        for weight in (self.projections, self.out.weight):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self,
        x: Float[Tensor, "b q c"],
        queries: Float[Tensor, "b q c"],
        keys: Float[Tensor, "b k c"],
        values: Float[Tensor, "b k c"],
        is_allowed: Bool[Tensor, "b q k"] | None = None,
    ) -> Float[Tensor, "b q c"]:
        heads = [
            F.linear(rows, weight, shift).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for rows, weight, shift in zip(
                (queries, keys, values), self.projections.chunk(3), self.shifts.chunk(3), strict=True
            )
        ]
        mask = None if is_allowed is None else is_allowed[:, None]
        seen = F.scaled_dot_product_attention(*heads, attn_mask=mask)
        return self.norm(x + self.out(seen.transpose(1, 2).flatten(2)))


class FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)
        for layer in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, x: Float[Tensor, "b q c"]) -> Float[Tensor, "b q c"]:
        return self.norm(x + self.linear2(F.relu(self.linear1(x))))


class Mlp(nn.Module):
    """Three layers: a query's vector to what its map is the product with."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Float[Tensor, "b q c"]) -> Float[Tensor, "b q c"]:
        first, second, third = self.layers
        return third(F.relu(second(F.relu(first(x)))))
