"""Similarity transforms between two sets of points: rotation, scale and translation in closed form (Umeyama, 1991)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

Points = Float64[np.ndarray, "n 3"]


@dataclass(frozen=True, eq=False)
class Similarity:
    """`there = scale * rotation @ here + translation`."""

    scale: float
    rotation: Float64[np.ndarray, "3 3"]
    translation: Float64[np.ndarray, "3"]

    @property
    def matrix(self) -> Float64[np.ndarray, "4 4"]:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.scale * self.rotation, self.translation
        return matrix


def fitted_similarity(here: Points, there: Points, has_scale: bool = True, least_scale: float = 0.0) -> Similarity:
    """Least squares over pairs of points; never a mirror. Where the points lie on one line any of the best rotations is
    returned, and a single point is only moved. `least_scale` bounds the scale from below.
    """
    mean_here, mean_there = here.mean(axis=0), there.mean(axis=0)
    u, singular, vt = np.linalg.svd((there - mean_there).T @ (here - mean_here))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    rotation = u @ (sign[:, None] * vt)
    spread = ((here - mean_here) ** 2).sum()
    scale = float((singular * sign).sum() / spread) if has_scale and spread > 0 else 1.0
    scale = max(scale, least_scale)
    return Similarity(scale, rotation, mean_there - scale * rotation @ mean_here)
