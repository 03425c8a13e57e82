"""Which cells a convolution joins: `fine = stride * coarse + dilation * tap - padding`, on every axis."""

from dataclasses import dataclass
from typing import Literal

from panoptic3d.errors import InputError

Convention = Literal["centred", "minkowski"]


@dataclass(frozen=True)
class Kernel:
    """A cubic kernel. Taps are numbered in C order, `(a*size + b)*size + c` along i, j, k, as in a dense kernel.

    The conventions differ for even sizes only: "centred" is `conv3d` with `padding = dilation*(size-1)//2`, "minkowski"
    lets the first tap sit on the cell itself. A transposed convolution is the same relation read from coarse to fine.
    """

    size: int
    stride: int = 1
    dilation: int = 1
    convention: Convention = "centred"

    def __post_init__(self) -> None:
        if min(self.size, self.stride, self.dilation) < 1:
            raise InputError(
                f"size, stride and dilation of a kernel are at least 1, got {self.size}, {self.stride}, {self.dilation}."
            )

    @property
    def padding(self) -> int:
        if self.size % 2 == 0 and self.convention == "minkowski":
            return 0
        return self.dilation * (self.size - 1) // 2 if self.size % 2 == 0 else self.dilation * (self.size // 2)

    @property
    def num_taps(self) -> int:
        return self.size**3

    @property
    def is_symmetric(self) -> bool:
        """Whether tap t of one cell is tap `num_taps - 1 - t` of the other, when both sets are the same."""
        return self.stride == 1 and self.size % 2 == 1

    def tap(self, a: int, b: int, c: int) -> int:
        return (a * self.size + b) * self.size + c
