"""RoIAlign without the half-pixel shift, as two small matrix products per box instead of a gather per sample.

Bilinear sampling on a grid of rows and columns is separable, and so is the average over the samples of a bin.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def roi_align(
    features: Float[Tensor, "c h w"], boxes: Float[Tensor, "n 4"], scale: float, size: int, samples: int
) -> Float[Tensor, "n c size size"]:
    """Mean of `samples` x `samples` bilinear samples in each of `size` x `size` bins of every box.

    `scale` takes pixels of the image to cells of the map; a box is at least one cell wide. A sample more than one cell
    outside of the map counts as 0, nearer ones take the border's value.
    """
    _, height, width = features.shape
    x1, y1, x2, y2 = (boxes * scale).unbind(dim=1)
    rows = _axis_weights(y1, (y2 - y1).clamp(min=1), height, size, samples)
    columns = _axis_weights(x1, (x2 - x1).clamp(min=1), width, size, samples)
    return torch.einsum("nph,chw,nqw->ncpq", rows, features, columns)


def _axis_weights(
    start: Float[Tensor, " n"], length: Float[Tensor, " n"], limit: int, size: int, samples: int
) -> Float[Tensor, "n size limit"]:
    """How much each cell of an axis counts in each bin."""
    step = (torch.arange(size * samples, device=start.device, dtype=start.dtype) + 0.5) / samples
    at = start[:, None] + step * (length / size)[:, None]
    is_near = (at >= -1) & (at <= limit)
    at = at.clamp(min=0, max=limit - 1)
    low = at.floor().clamp(max=max(limit - 2, 0))
    fraction = at - low
    cells = torch.arange(limit, device=start.device, dtype=start.dtype)
    weights = torch.where(cells == low[..., None], (1 - fraction)[..., None], 0.0)
    weights = weights + torch.where(cells == low[..., None] + 1, fraction[..., None], 0.0)
    weights = weights * is_near[..., None]
    return weights.unflatten(1, (size, samples)).mean(dim=2)
