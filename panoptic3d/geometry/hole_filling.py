"""Holes of a measured depth, filled by another depth that is bent to meet it at their rims.

What is sought is the logarithm of the factor between the two: known where both are, as smooth as can be in the holes
(the screened Poisson equation, Bhat et al., ECCV 2008). So relief in a hole is the other map's and no rim shows.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

_REACH_PX = 24.0  # farther from a rim than this the factor returns to that of the whole map
_OUTLIER, _MAD = 3.0, 1.4826
_LEAST_OUTLIER = 0.1  # of the logarithm: rims that agree so well are all continued
_STEPS, _ENOUGH = 200, 1e-4


def filled(
    depth_m: Float[Tensor, "h w"], is_measured: Bool[Tensor, "h w"], other_m: Float[Tensor, "h w"]
) -> Float[Tensor, "h w"]:
    """`depth_m` where it is measured, else `other_m` times a smooth factor. Both maps are positive where they count."""
    if bool(is_measured.all()) or not bool(is_measured.any()):
        return torch.where(is_measured, depth_m, other_m)
    ratio = torch.where(is_measured, depth_m, other_m).double().log() - other_m.double().log()
    of_all = ratio[is_measured].median()
    gap = torch.where(is_measured, ratio - of_all, 0.0)
    limit = (_OUTLIER * _MAD * gap[is_measured].abs().median()).clamp(min=_LEAST_OUTLIER)
    is_rim = is_measured & (gap.abs() <= limit)  # a wrong pixel at an edge is not carried into the hole
    factor = (of_all + screened(torch.where(is_rim, gap, 0.0), is_rim)).exp()
    return torch.where(is_measured, depth_m, (other_m.double() * factor).to(other_m))


def screened(
    known: Float[Tensor, "h w"], is_known: Bool[Tensor, "h w"], reach_px: float = _REACH_PX
) -> Float[Tensor, "h w"]:
    """The smoothest continuation of `known` (0 elsewhere) that fades to 0 far away, by conjugate gradients in float64.

    In the open pixels `(degree + 1 / reach^2) * x - sum of neighbours = 0`; borders of the map reflect.
    """
    is_open = ~is_known
    ones = torch.ones_like(known)
    diagonal = _neighbours(ones) + 1 / reach_px**2

    def applied(x: Tensor) -> Tensor:
        return torch.where(is_open, diagonal * x - _neighbours(x), 0.0)

    x = torch.zeros_like(known)
    residual = torch.where(is_open, _neighbours(known), 0.0)
    step = residual / diagonal
    power = (residual * step).sum()
    enough = _ENOUGH**2 * power
    for _ in range(_STEPS):
        if bool(power <= enough) or not bool(power > 0):
            break
        image = applied(step)
        length = power / (step * image).sum()
        x, residual = x + length * step, residual - length * image
        scaled = residual / diagonal
        before, power = power, (residual * scaled).sum()
        step = scaled + power / before * step
    return torch.where(is_known, known, x)


def _neighbours(x: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """The sum of the four next to each pixel, as far as there are any."""
    padded = F.pad(x, (1, 1, 1, 1))
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
