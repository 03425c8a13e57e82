"""Noise of few rays spread over neighbouring pixels that show the same surface."""

import numpy as np
from jaxtyping import Float32

_KERNEL = np.array([1.0, 2.0, 1.0], np.float32) / 4


def smooth(
    light: Float32[np.ndarray, "h w 3"],
    points: Float32[np.ndarray, "h w 3"],
    normals: Float32[np.ndarray, "h w 3"],
    reach_m: Float32[np.ndarray, "h w"],
    num_rounds: int = 4,
) -> Float32[np.ndarray, "h w 3"]:
    """An edge-avoiding wavelet filter: a pixel counts as far as it lies in this one's plane and faces the same way.

    `reach_m` is how far off the plane still counts.
    """
    for step in (2**n for n in range(num_rounds)):
        light = _round(light, points, normals, reach_m, step)
    return light


def _round(light: np.ndarray, points: np.ndarray, normals: np.ndarray, reach_m: np.ndarray, step: int) -> np.ndarray:
    height, width, _ = light.shape
    margin = step
    padding = ((margin, margin), (margin, margin), (0, 0))
    padded = np.pad(np.concatenate([light, points, normals], axis=2), padding, mode="edge")
    total = np.zeros_like(light)
    weights = np.zeros((height, width), np.float32)
    per_reach = 1 / reach_m
    for j in range(3):
        for i in range(3):
            other = padded[j * step : j * step + height, i * step : i * step + width]
            off_plane = np.abs(np.einsum("hwc,hwc->hw", other[..., 3:6] - points, normals)) * per_reach
            facing = np.maximum(np.einsum("hwc,hwc->hw", other[..., 6:9], normals), 0)
            weight = (
                _KERNEL[i]
                * _KERNEL[j]
                * np.square(np.square(np.square(facing)))
                / (1 + np.square(np.square(off_plane)))
            )
            total += weight[..., None] * other[..., :3]
            weights += weight
    return total / np.maximum(weights, 1e-6)[..., None]


def at_pixels(
    light: Float32[np.ndarray, "n 3"],
    points: Float32[np.ndarray, "n 3"],
    normals: Float32[np.ndarray, "n 3"],
    neighbours: np.ndarray,
    weights: np.ndarray,
    own_points: Float32[np.ndarray, "m 3"],
    own_normals: Float32[np.ndarray, "m 3"],
    reach_m: Float32[np.ndarray, " m"],
) -> Float32[np.ndarray, "m 3"]:
    """Light at points from that of some neighbours each ([m, k] numbers and weights) that lie in the same plane."""
    total = np.zeros((len(own_points), 3), np.float32)
    summed = np.zeros(len(own_points), np.float32)
    for column in range(neighbours.shape[1]):
        other = neighbours[:, column]
        off_plane = np.abs(np.einsum("nc,nc->n", points[other] - own_points, own_normals)) / reach_m
        facing = np.maximum(np.einsum("nc,nc->n", normals[other], own_normals), 0)
        weight = weights[:, column] * (np.square(np.square(facing)) / (1 + np.square(np.square(off_plane))) + 1e-4)
        total += weight[:, None] * light[other]
        summed += weight
    return total / np.maximum(summed, 1e-12)[:, None]
