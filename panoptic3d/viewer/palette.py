"""Colours of labels and numbers."""

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from panoptic3d.structures.taxonomy import Taxonomy

_INVALID = (60, 60, 60)


def class_colors(semantic: Int[Tensor, "*n"] | UInt8[Tensor, "*n"], taxonomy: Taxonomy) -> UInt8[Tensor, "*n 3"]:
    table = torch.tensor([c.color for c in taxonomy.classes], dtype=torch.uint8)
    return table[semantic.long()]


def instance_colors(instance: Int[Tensor, "*n"]) -> UInt8[Tensor, "*n 3"]:
    """A colour that depends on the id alone: the golden angle around the colour circle, three shades. 0 is grey."""
    ids = instance.long()
    hue = (ids * 137.50776) % 360 / 60
    value = torch.tensor([0.95, 0.75, 0.85])[ids % 3]
    channels = []
    for shift in (5, 3, 1):
        k = (shift + hue) % 6
        channels.append(value * (1 - 0.72 * torch.minimum(k, 4 - k).clamp(0, 1)))
    color = (torch.stack(channels, dim=-1) * 255).round().to(torch.uint8)
    return torch.where((ids > 0)[..., None], color, torch.tensor((150, 150, 150), dtype=torch.uint8))


def scale_colors(values: Float[Tensor, "*n"], low: float, high: float) -> UInt8[Tensor, "*n 3"]:
    """Dark blue to yellow over [low, high]; what is not finite or not above 0 is grey."""
    stops = torch.tensor(
        [[38, 12, 81], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], dtype=torch.float32
    )
    valid = values.isfinite() & (values > 0)
    position = ((torch.where(valid, values, low).float() - low) / max(high - low, 1e-9)).clamp(0, 1) * (len(stops) - 1)
    floor = position.floor().long().clamp(max=len(stops) - 2)
    fraction = (position - floor)[..., None]
    color = (stops[floor] * (1 - fraction) + stops[floor + 1] * fraction).round().to(torch.uint8)
    return torch.where(valid[..., None], color, torch.tensor(_INVALID, dtype=torch.uint8))
