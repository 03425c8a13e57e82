"""The norm after a 2D convolution, chosen by name."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

NormName = Literal["frozen", "frozen-eps", "batch"]
_EPS = 1e-5  # of an ordinary batch norm


class FrozenAffine(nn.Module):
    """A batch norm whose statistics and scale are constants: `(x - mean) / sqrt(var + eps) * weight + bias`.

    PanoRecon's has no epsilon (section 3.1), and its weights were trained against that.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_channels: int, eps: float = 0.0) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(num_channels))
        self.register_buffer("bias", torch.zeros(num_channels))
        self.register_buffer("running_mean", torch.zeros(num_channels))
        self.register_buffer("running_var", torch.ones(num_channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]

    def extra_repr(self) -> str:
        return f"{self.weight.numel()}, eps={self.eps}"


def norm2d(name: NormName, num_channels: int) -> nn.Module:
    match name:
        case "frozen":
            return FrozenAffine(num_channels)
        case "frozen-eps":
            return FrozenAffine(num_channels, _EPS)
        case "batch":
            return nn.BatchNorm2d(num_channels, _EPS)
