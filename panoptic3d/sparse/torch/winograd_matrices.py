"""Winograd's matrices for kernels of three and five taps (Lavin and Gray, 2016), along two axes at once.

F(m, r): of `(m + r - 1)^2` inputs as many points are made, each meets one matrix instead of `r^2`, and `m^2` outputs come of
them. F(2, 3) rounds as a direct convolution does, F(4, 3), F(2, 5) and F(4, 5) five to ten times as much (2e-6 of the
outputs' size in the root mean square).
"""

import math
from collections.abc import Sequence
from functools import lru_cache

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


# Where polynomials are evaluated for kernels of five taps, beside infinity.
_POINTS = {2: (0.0, 1.0, -1.0, 2.0, -2.0), 4: (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)}


def from_cells(tile: int, like: Tensor, num_taps: int = 3) -> Float[Tensor, "p p"]:
    """Inputs to points, both in C order of their two axes."""
    return _on_both_axes(_FROM_CELLS[tile] if num_taps == 3 else _five_taps(tile)[0], like)


def to_cells(tile: int, like: Tensor, num_taps: int = 3) -> Float[Tensor, "o p"]:
    """Points to outputs."""
    return _on_both_axes(_TO_CELLS[tile] if num_taps == 3 else _five_taps(tile)[2], like)


def from_taps(weight: Float[Tensor, "t cin cout"], tile: int, num_taps: int = 3) -> Float[Tensor, "k p cin cout"]:
    """For every tap along the last axis, of which a map has one, and every point the matrix from inputs to outputs; worked
    out in float64.
    """
    rows, divisor = _FROM_TAPS[tile] if num_taps == 3 else (_five_taps(tile)[1], 1)
    matrix = torch.tensor(rows, dtype=torch.float64, device=weight.device) / divisor
    taps = weight.double().unflatten(0, (num_taps**2, -1))
    points = torch.mm(torch.kron(matrix, matrix), taps.flatten(1))
    return points.to(weight.dtype).view(-1, *taps.shape[1:]).transpose(0, 1).contiguous()


Rows = list[list[int | float]]


@lru_cache(maxsize=2)
def _five_taps(tile: int) -> tuple[Rows, Rows, Rows]:
    """Inputs to points, taps to points, points to outputs, by Toom and Cook.

    Outputs are products of polynomials read backwards. Point i of the taps is their polynomial at a_i over the product of
    a_i - a_j. Point i of the inputs is their sum with the coefficients of the product of x - a_j. Output j adds up the
    points times a_i^j. Infinity stands for the highest coefficients.
    """
    points, num_taps = _POINTS[tile], 5
    others = [[b for b in points if b != a] for a in points]
    inputs = [[*_coefficients(rest), 0.0] for rest in others] + [_coefficients(points)]
    taps = [
        [a**k / math.prod(a - b for b in rest) for k in range(num_taps)] for a, rest in zip(points, others, strict=True)
    ]
    taps.append([0.0] * (num_taps - 1) + [1.0])
    outputs = [[a**j for a in points] + [float(j == tile - 1)] for j in range(tile)]
    return inputs, taps, outputs


def _coefficients(roots: Sequence[float]) -> list[float]:
    """Coefficients of the polynomial with these roots, the constant first."""
    result = [1.0]
    for root in roots:
        result = [a - root * b for a, b in zip([0.0, *result], [*result, 0.0], strict=True)]
    return result


def _on_both_axes(rows: Sequence[Sequence[int | float]], like: Tensor) -> Float[Tensor, "a2 b2"]:
    matrix: Float64[Tensor, "a b"] = torch.tensor(rows, dtype=torch.float64, device=like.device)
    return torch.kron(matrix, matrix).to(like.dtype)
