"""Exact distances to simple shapes, in the unit of the arguments."""

from jaxtyping import Float
from torch import Tensor


def distance_to_box_surface(points: Float[Tensor, "n 3"], half_size: Float[Tensor, "3"]) -> Float[Tensor, " n"]:
    """Unsigned distance to the surface of a box around the origin, from inside as well as from outside.

    A half size of 0 along an axis makes it a rectangle.
    """
    beyond = points.abs() - half_size
    outside = beyond.clamp(min=0).norm(dim=1)
    inside = -beyond.amax(dim=1).clamp(max=0)
    return outside + inside
