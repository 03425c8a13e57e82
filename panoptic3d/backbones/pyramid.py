"""What every trunk gives: feature maps at strides 4, 8, 16 and 32."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Pyramid:
    """Maps of one batch of images, each named by the pixels between its cells."""

    stride4: Float[Tensor, "b c4 h4 w4"]
    stride8: Float[Tensor, "b c8 h8 w8"]
    stride16: Float[Tensor, "b c16 h16 w16"]
    stride32: Float[Tensor, "b c32 h32 w32"]

    def __iter__(self):
        """From fine to coarse."""
        return iter((self.stride4, self.stride8, self.stride16, self.stride32))


@runtime_checkable
class Trunk(Protocol):
    """`channels` are those of the four maps, fine to coarse. The image is normalised as the trunk's weights want it."""

    channels: tuple[int, int, int, int]

    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> Pyramid: ...
