"""Uncertainty of a photo's pixels, learned from where the photo disagrees with the other photos of its scene.

NeRF On-the-go (CVPR 2024), sections 3.2 and 3.3, with depth in place of colour.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

_WINDOW = 5  # pixels
_C1, _C2 = 0.01**2, 0.03**2  # SSIM's constants, here in square metres
_MOST = 0.98  # contrast and structure are clipped there, as in the published code: no factor makes an error vanish
_SIMILAR = 0.75  # cosine of features above which pixels are neighbours


def structural_error(
    own_m: Float[Tensor, "h w"], other_m: Float[Tensor, "h w"], is_known: Bool[Tensor, "h w"]
) -> Float[Tensor, "h w"]:
    """(1 - L)(1 - C)(1 - S) of two depth maps in windows of 5 x 5 pixels, of which only known ones count. A product of the
    three complements: it is large only where level, contrast, and structure all differ. 0 where nothing is known.
    """
    known = is_known.to(own_m.dtype)
    own, other = (torch.where(is_known, depth, 0.0) for depth in (own_m, other_m))
    sums = _window_sums(torch.stack((known, own, other, own * own, other * other, own * other)))
    own_mean, other_mean, own_square, other_square, product = sums[1:] / sums[0].clamp(min=1)
    own_var = (own_square - own_mean**2).clamp(min=0)
    other_var = (other_square - other_mean**2).clamp(min=0)
    covariance, spread = product - own_mean * other_mean, (own_var * other_var).sqrt()
    level = (2 * own_mean * other_mean + _C1) / (own_mean**2 + other_mean**2 + _C1)
    contrast = (2 * spread + _C2) / (own_var + other_var + _C2)
    structure = (covariance + _C2 / 2) / (spread + _C2 / 2)
    error = (1 - level) * (1 - contrast.clamp(max=_MOST)) * (1 - structure.clamp(max=_MOST))
    return torch.where(is_known, error, 0.0)


def beta_loss(
    error: Float[Tensor, " n"],
    beta: Float[Tensor, " n"],
    features: Float[Tensor, "n c"],
    log_weight: float,
    variance_weight: float,
) -> Float[Tensor, ""]:
    """e / (2 beta^2) + lambda log beta, least at beta = sqrt(e / lambda), and the variance of beta among similar pixels."""
    fit = error / (2 * beta**2) + log_weight * beta.log()
    return (fit + variance_weight * neighbour_variance(beta, features)).mean()


def neighbour_variance(beta: Float[Tensor, " n"], features: Float[Tensor, "n c"]) -> Float[Tensor, " n"]:
    """Variance of beta over the pixels whose features have a cosine above 0.75 with a pixel's own, itself among them: a pixel
    without another neighbour costs 0.
    """
    unit = F.normalize(features, dim=1)
    is_near = (unit @ unit.t() > _SIMILAR) | torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    share = is_near / is_near.sum(dim=1, keepdim=True)
    mean = share @ beta
    return (share * (mean[:, None] - beta) ** 2).sum(dim=1)


def _window_sums(maps: Float[Tensor, "k h w"]) -> Float[Tensor, "k h w"]:
    half = _WINDOW // 2
    padded = F.pad(maps.double()[:, None], (half, half, half, half))
    return F.avg_pool2d(padded, _WINDOW, stride=1, divisor_override=1)[:, 0]
