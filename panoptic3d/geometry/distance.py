"""Exact distances to simple shapes, in the unit of the arguments."""

import torch
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


def distance_to_points(
    points: Float[Tensor, "n 3"], others: Float[Tensor, "m 3"], chunk: int = 4096
) -> Float[Tensor, " n"]:
    """Distance of each point to the nearest of the others, by brute force in bounded memory; infinite without others."""
    if others.shape[0] == 0:
        return points.new_full((points.shape[0],), float("inf"))
    parts = [
        torch.cdist(part, others, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1)
        for part in points.split(chunk)
    ]
    return torch.cat(parts) if parts else points.new_zeros(0)
