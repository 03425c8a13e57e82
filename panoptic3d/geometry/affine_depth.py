"""Scale and shift between two depth maps in closed form: `scale * source + shift = target` over the pixels that both have.

A monocular cue is right up to scale and shift (MonoSDF, Yu et al., NeurIPS 2022, section 3.3). Loss, metrics and the fit of a
depth that is handed in share these functions.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_SAME = 1e-12  # of the squared mean: a source that varies less is a constant
_L1_STEPS, _TUKEY_STEPS = 4, 8
_TUKEY, _MAD = 4.685, 1.4826  # 95 % efficient under normal errors; of the spread's robust estimate
_LEAST_ERROR = 1e-6


@dataclass(frozen=True, eq=False)
class AffineFit:
    scale: Float[Tensor, "*b"]
    shift: Float[Tensor, "*b"]

    def of(self, source: Float[Tensor, "*b n"]) -> Float[Tensor, "*b n"]:
        return self.scale[..., None] * source + self.shift[..., None]


def affine_fit(
    source: Float[Tensor, "*b n"], target: Float[Tensor, "*b n"], weight: Float[Tensor, "*b n"]
) -> AffineFit:
    """Weighted least squares, image by image. A source without contrast keeps its scale and is shifted; without any weight
    nothing is changed. The scale may come out negative: whoever cannot use a mirrored depth refuses it.
    """
    total = weight.sum(dim=-1)
    share = weight / _kept_from_zero(total)[..., None]
    mean, aim = (share * source).sum(dim=-1), (share * target).sum(dim=-1)
    apart = source - mean[..., None]
    spread = (share * apart.square()).sum(dim=-1)
    joint = (share * apart * (target - aim[..., None])).sum(dim=-1)
    is_flat = spread <= _SAME * (mean.square() + _SAME)
    scale = torch.where(is_flat, 1.0, joint / torch.where(is_flat, 1.0, spread))
    return AffineFit(scale, torch.where(total > 0, aim - scale * mean, 0.0))


def upright_fit(
    source: Float[Tensor, "*b n"], target: Float[Tensor, "*b n"], weight: Float[Tensor, "*b n"]
) -> AffineFit:
    """The same with a scale above 0. Where least squares would mirror the source, mean and spread are made to agree instead:
    a mirrored depth then costs more than a flat one, and its error still says which way is right.
    """
    fit, total = affine_fit(source, target, weight), weight.sum(dim=-1)
    share = weight / _kept_from_zero(total)[..., None]
    mean, aim = (share * source).sum(dim=-1), (share * target).sum(dim=-1)
    spread = (share * (source - mean[..., None]).square()).sum(dim=-1)
    aimed = (share * (target - aim[..., None]).square()).sum(dim=-1)
    is_mirrored = fit.scale <= 0
    ratio = (aimed / torch.where(is_mirrored & (spread > 0), spread, 1.0)).clamp(min=_SAME).sqrt()
    scale = torch.where(is_mirrored, ratio, fit.scale)
    return AffineFit(scale, torch.where(is_mirrored, aim - scale * mean, fit.shift))


def scale_fit(
    source: Float[Tensor, "*b n"], target: Float[Tensor, "*b n"], weight: Float[Tensor, "*b n"]
) -> Float[Tensor, "*b"]:
    """The factor alone, by least squares; 1 where nothing counts."""
    power = (weight * source.square()).sum(dim=-1)
    return torch.where(power > 0, (weight * source * target).sum(dim=-1) / _kept_from_zero(power), 1.0)


def median_log_ratio(source: Float[Tensor, " n"], target: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """The logarithm of the factor that brings half of the values too far: no outlier below one half moves it."""
    return (target.log() - source.log()).median()


def robust_affine_fit(source: Float[Tensor, " n"], target: Float[Tensor, " n"]) -> AffineFit:
    """By relative errors, reweighted: least absolute errors first, then Tukey's biweight, which leaves outliers out.

    What a depth net and a sensor disagree on is rarely noise: windows, mirrors, edges.
    """
    relative = target.square().reciprocal()
    weight = relative
    fit = affine_fit(source, target, weight)
    for step in range(_L1_STEPS + _TUKEY_STEPS):
        error = (fit.of(source) - target).abs() / target.abs()
        if step < _L1_STEPS:
            trust = 1 / error.clamp(min=_LEAST_ERROR)
        else:
            reach = _TUKEY * _MAD * error.median().clamp(min=_LEAST_ERROR)
            trust = (1 - (error / reach).square()).clamp(min=0).square()
        fit = affine_fit(source, target, relative * trust)
    return fit


def _kept_from_zero(values: Tensor) -> Tensor:
    return torch.where(values > 0, values, 1.0)
