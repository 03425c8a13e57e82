"""Where a cell lies in its map, as sines and cosines (DETR's code; section 3.2)."""

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

_TEMPERATURE = 10_000.0
_EPS = 1e-6  # the last row is not quite a whole turn


def sine_positions(height: int, width: int, num_channels: int, device: torch.device) -> Float[Tensor, "c h w"]:
    """Positional encoding: the first half of the channels encodes the row, the second the column, by sine and cosine."""
    return _on_cpu(height, width, num_channels).to(device)


@lru_cache(maxsize=16)
def _on_cpu(height: int, width: int, num_channels: int) -> Float[Tensor, "c h w"]:
    half = num_channels // 2
    rows, columns = _axis(height, half), _axis(width, half)
    return torch.cat((rows[:, :, None].expand(-1, -1, width), columns[:, None].expand(-1, height, -1)))


def _axis(length: int, num_channels: int) -> Float[Tensor, "c n"]:
    place = torch.arange(1, length + 1, dtype=torch.float32)
    angle = place / (length + _EPS) * (2 * math.pi)
    channel = torch.arange(num_channels, dtype=torch.float32)
    frequency = _TEMPERATURE ** (2 * torch.div(channel, 2, rounding_mode="floor") / num_channels)
    phase = angle[None] / frequency[:, None]
    is_sine = (torch.arange(num_channels) % 2 == 0)[:, None]
    return torch.where(is_sine, phase.sin(), phase.cos())
