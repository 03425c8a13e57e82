"""Growing thin surfaces into slabs, as the scores do."""

from jaxtyping import Bool
from torch import Tensor


def thicken(mask: Bool[Tensor, "*b x y z"], low: int, high: int) -> Bool[Tensor, "*b x y z"]:
    """Mark every p + o for p in the mask and o in {low..high}^3; what leaves the grid is dropped.

    (-1, 1) is centred; (0, 2) is the one-sided growth of the published scores. The cube is separable: one axis at a time.
    """
    for axis in (-3, -2, -1):
        size = mask.shape[axis]
        grown = mask.new_zeros(mask.shape)
        for offset in range(max(low, 1 - size), min(high, size - 1) + 1):
            length = size - abs(offset)
            source, target = max(-offset, 0), max(offset, 0)
            grown.narrow(axis, target, length).logical_or_(mask.narrow(axis, source, length))
        mask = grown
    return mask
