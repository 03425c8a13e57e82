"""Convolutions for training on a CPU: the same values within rounding, in half the time.

* A norm with fixed statistics is a scale and a shift. Folded into the convolution's weight, it costs no pass over the map,
  forward or backward; its own weight and bias learn through the fold.
* With channels last, a 1x1 convolution is one product of matrices, and so are its gradients.
* oneDNN takes forty times as long for the weight's gradient of a 5x5 depthwise convolution as for a 3x3 one. Four 3x3 windows
  cover 5x5 taps.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Padding = tuple[int, int, int, int]  # left, right, top, bottom
_WINDOW = 3


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Float[Tensor, "cout cin k k"], Float[Tensor, " cout"]]:
    """Weight and bias of `norm(conv(x))`, with the norm's running statistics."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale


def pointwise(
    x: Float[Tensor, "b cin h w"], weight: Float[Tensor, "cout cin 1 1"], bias: Float[Tensor, " cout"] | None
) -> Float[Tensor, "b cout h w"]:
    """A 1x1 convolution of a map with channels last, which the result has as well."""
    return F.linear(x.permute(0, 2, 3, 1), weight[:, :, 0, 0], bias).permute(0, 3, 1, 2)


def depthwise(
    x: Float[Tensor, "b c h w"],
    weight: Float[Tensor, "c 1 k k"],
    bias: Float[Tensor, " c"],
    stride: int,
    padding: Padding,
) -> Float[Tensor, "b c h2 w2"]:
    """Every channel by itself."""
    left, right, top, bottom = padding
    is_even = left == right and top == bottom
    is_slow = x.device.type == "cpu" and weight.shape[2] == 2 * _WINDOW - 1 and not torch.is_autocast_enabled("cpu")
    if not is_even or is_slow:
        x, top, left = F.pad(x, padding), 0, 0
    if is_slow:
        return _Depthwise5.apply(x, weight, bias, stride)  # pyright: ignore[reportReturnType]
    return F.conv2d(x, weight, bias, stride, (top, left), groups=x.shape[1])


class Pointwise(nn.Conv2d):
    """A 1x1 convolution that is a product of matrices where it learns."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__(num_in, num_out, 1)

    def forward(self, input: Float[Tensor, "b cin h w"]) -> Float[Tensor, "b cout h w"]:
        if torch.is_grad_enabled() and input.is_contiguous(memory_format=torch.channels_last):
            return pointwise(input, self.weight, self.bias)
        return super().forward(input)


class _Depthwise5(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, bias, stride, groups=x.shape[1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        gradient = grads[0].contiguous(memory_format=torch.channels_last)
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        by_x = _gradients(gradient, x, weight, ctx.stride, (True, False))[0] if needs_x else None
        by_weight = _by_weight(gradient, x, weight, ctx.stride) if needs_weight else None
        return by_x, by_weight, gradient.sum(dim=(0, 2, 3)) if needs_bias else None, None


def _by_weight(gradient: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Gradient of the weights, one 3x3 window of taps at a time. Overlapping windows compute the same values twice."""
    height, width = ((n - 1) * stride + _WINDOW for n in gradient.shape[2:])
    result = torch.empty_like(weight)
    first = (0, weight.shape[2] - _WINDOW)
    for a in first:
        for b in first:
            seen = x[:, :, a : a + height, b : b + width].contiguous(memory_format=torch.channels_last)
            taps = weight[:, :, a : a + _WINDOW, b : b + _WINDOW].contiguous()
            result[:, :, a : a + _WINDOW, b : b + _WINDOW] = _gradients(gradient, seen, taps, stride, (False, True))[1]
    return result


def _gradients(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, wanted: tuple[bool, bool]) -> tuple:
    return torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [stride] * 2, [0, 0], [1, 1], False, [0, 0], x.shape[1], [*wanted, False]
    )
