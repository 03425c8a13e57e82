"""Convert convolution kernels between the layouts of the back ends, without loss.

Ours is (tap, in, out) with taps in C order: the last spatial axis is fastest. MinkowskiEngine numbers taps with the first
axis fastest, `kx + K*ky + K*K*kz`. WarpConvNet numbers MinkowskiEngine's taps backwards, from last to first.
"""

from jaxtyping import Float
from torch import Tensor

from panoptic3d.errors import InputError


def from_minkowski(kernel: Tensor) -> Float[Tensor, "t cin cout"]:
    """A MinkowskiEngine `kernel`: (K^3, in, out), or (in, out) for size 1."""
    return _with_axes_reversed(kernel[None] if kernel.dim() == 2 else kernel)


def to_minkowski(weight: Float[Tensor, "t cin cout"]) -> Tensor:
    turned = _with_axes_reversed(weight)
    return turned[0] if len(turned) == 1 else turned


def from_warpconvnet(weight: Tensor) -> Float[Tensor, "t cin cout"]:
    """A WarpConvNet `weight`: (K^3, in, out)."""
    return from_minkowski(weight.flip(0))


def to_warpconvnet(weight: Float[Tensor, "t cin cout"]) -> Tensor:
    return _with_axes_reversed(weight).flip(0)


def from_dense_weight(weight: Float[Tensor, "cout cin a b c"]) -> Float[Tensor, "t cin cout"]:
    """The weight of a `Conv3d`."""
    return weight.permute(2, 3, 4, 1, 0).flatten(0, 2).contiguous()


def from_dense_transposed_weight(weight: Float[Tensor, "cin cout a b c"]) -> Float[Tensor, "t cin cout"]:
    """The weight of a `ConvTranspose3d`."""
    return weight.permute(2, 3, 4, 0, 1).flatten(0, 2).contiguous()


def to_dense_weight(weight: Float[Tensor, "t cin cout"]) -> Float[Tensor, "cout cin a b c"]:
    size = kernel_size_of(weight)
    return weight.unflatten(0, (size, size, size)).permute(4, 3, 0, 1, 2).contiguous()


def to_dense_transposed_weight(weight: Float[Tensor, "t cin cout"]) -> Float[Tensor, "cin cout a b c"]:
    """The weight of a `ConvTranspose3d`."""
    size = kernel_size_of(weight)
    return weight.unflatten(0, (size, size, size)).permute(3, 4, 0, 1, 2).contiguous()


def kernel_size_of(weight: Tensor) -> int:
    size = round(len(weight) ** (1 / 3))
    if size**3 != len(weight):
        raise InputError(f"a cubic kernel has 1, 8, 27, 64, 125 ... taps, this one has {len(weight)}.")
    return size


def _with_axes_reversed(kernel: Tensor) -> Tensor:
    size = kernel_size_of(kernel)
    return kernel.unflatten(0, (size, size, size)).permute(2, 1, 0, 3, 4).flatten(0, 2).contiguous()
