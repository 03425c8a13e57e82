"""Winograd's matrices for kernels of three taps (Lavin and Gray, 2016): F(2, 3) and F(4, 3), along two axes at once.

Of `(m + 2)^2` inputs as many points are made, each meets one matrix instead of nine, and `m^2` outputs come of them.
F(2, 3) rounds as a direct convolution does, F(4, 3) five times as much (2e-6 of the outputs' size in the root mean square).
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

_FROM_CELLS = {
    2: [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
    4: [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
}
_FROM_TAPS = {
    2: ([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], 2),
    4: ([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], 24),
}
_TO_CELLS = {
    2: [[1, 1, 1, 0], [0, 1, -1, -1]],
    4: [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
}


def from_cells(tile: int, like: Tensor) -> Float[Tensor, "p p"]:
    """Inputs to points, both in C order of their two axes."""
    return _on_both_axes(_FROM_CELLS[tile], like)


def to_cells(tile: int, like: Tensor) -> Float[Tensor, "o p"]:
    """Points to outputs."""
    return _on_both_axes(_TO_CELLS[tile], like)


def from_taps(weight: Float[Tensor, "t cin cout"], tile: int) -> Float[Tensor, "3 p cin cout"]:
    """For every tap along the last axis and every point the matrix from inputs to outputs; worked out in float64."""
    rows, divisor = _FROM_TAPS[tile]
    matrix = torch.tensor(rows, dtype=torch.float64, device=weight.device) / divisor
    taps = weight.double().unflatten(0, (3, 3, 3))
    points = torch.einsum("pa,qb,abcio->cpqio", matrix, matrix, taps)
    return points.flatten(1, 2).to(weight.dtype).contiguous()


def _on_both_axes(rows: list[list[int]], like: Tensor) -> Float[Tensor, "a2 b2"]:
    matrix: Float64[Tensor, "a b"] = torch.tensor(rows, dtype=torch.float64, device=like.device)
    return torch.kron(matrix, matrix).to(like.dtype)
