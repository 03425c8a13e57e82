"""Similarity transforms between two sets of points: rotation, scale and translation in closed form (Umeyama, 1991)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Similarity:
    """`there = scale * rotation @ here + translation`."""

    scale: float
    rotation: Float64[Tensor, "3 3"]
    translation: Float64[Tensor, "3"]

    def __call__(self, points: Float64[Tensor, "n 3"]) -> Float64[Tensor, "n 3"]:
        return self.scale * points @ self.rotation.T + self.translation


def fitted_similarity(here: Float64[Tensor, "n 3"], there: Float64[Tensor, "n 3"]) -> Similarity:
    """Least squares over pairs of points; never a mirror. At least three points that are not on one line are needed."""
    if len(here) < 3:
        raise ValueError(f"{len(here)} pairs of points do not fix a similarity; three do")
    mean_here, mean_there = here.mean(dim=0), there.mean(dim=0)
    a, b = here - mean_here, there - mean_there
    u, singular, vh = torch.linalg.svd(b.T @ a / len(a))
    if float(singular[1]) < 1e-12 * max(float(singular[0]), 1e-300):
        raise ValueError("the points lie on one line, around which any rotation fits")
    signs = singular.new_ones(3)
    signs[2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vh))
    rotation = u @ torch.diag(signs) @ vh
    scale = float((singular * signs).sum() / a.square().sum(dim=1).mean())
    return Similarity(scale, rotation, mean_there - scale * rotation @ mean_here)
