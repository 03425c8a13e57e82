"""Align a predicted surface with the true one before scoring. Only some protocols do, and their results say so."""

import math

import numpy as np
from jaxtyping import Float64
from scipy.spatial import KDTree

from panoptic3d.geometry.similarity import Similarity, fitted_similarity
from panoptic3d.metrics.surface_protocol import SurfaceProtocol

Points = Float64[np.ndarray, "_ 3"]  # prediction and truth may have different numbers of points
Matrix = Float64[np.ndarray, "4 4"]
_MAX_STEPS = 100
_NUM_FIT_POINTS = 2000  # enough to place seven numbers
_LEAST_SCALE = 1e-3  # a surface must not be shrunk to a point, which has the best of all accuracies


def align(prediction: Points, truth: Points, protocol: SurfaceProtocol) -> tuple[Matrix, str]:
    """The similarity to apply to the prediction, and in words what it does."""
    match protocol.alignment:
        case "none":
            return np.eye(4), "none"
        case "centre":
            return _boxes(prediction, truth, has_scale=False), "moved to the centre of the true box"
        case "box":
            return _boxes(prediction, truth, has_scale=True), "scaled and moved to the true box"
        case "icp":
            return _nearest_points(prediction, truth, np.eye(4), has_scale=False), "moved rigidly by ICP to the truth"
        case "fit":
            matrix = _best_of_yaws(prediction, truth, protocol.num_starts)
            return matrix, f"fitted to the truth in seven degrees of freedom, best of {protocol.num_starts} yaws"


def _boxes(prediction: Points, truth: Points, has_scale: bool) -> Matrix:
    (low_p, high_p), (low_t, high_t) = ((side.min(axis=0), side.max(axis=0)) for side in (prediction, truth))
    ratio = np.prod(np.maximum(high_t - low_t, 1e-9)) / np.prod(np.maximum(high_p - low_p, 1e-9))
    scale = float(np.cbrt(ratio)) if has_scale else 1.0
    return Similarity(scale, np.eye(3), (low_t + high_t) / 2 - scale * (low_p + high_p) / 2).matrix


def _best_of_yaws(prediction: Points, truth: Points, num_starts: int) -> Matrix:
    few, target = (side[:: max(1, len(side) // _NUM_FIT_POINTS)] for side in (prediction, truth))
    start = _boxes(few, target, has_scale=True)
    centre = (target.min(axis=0) + target.max(axis=0)) / 2
    tried = []
    for number in range(num_starts):
        turn = _about_vertical(2 * math.pi * number / num_starts, centre)
        matrix = _nearest_points(few, target, turn @ start, has_scale=True)
        tried.append((_squared_chamfer(_apply(matrix, few), target), number, matrix))
    return min(tried)[2]


def _nearest_points(prediction: Points, truth: Points, start: Matrix, has_scale: bool) -> Matrix:
    """ICP: pair every point with the nearest true one, move by the best similarity, repeat until nothing moves."""
    tree = KDTree(truth)
    matrix = start
    for _ in range(_MAX_STEPS):
        current = _apply(matrix, prediction)
        step = fitted_similarity(current, truth[tree.query(current)[1]], has_scale, _LEAST_SCALE).matrix
        matrix = step @ matrix
        if np.abs(step - np.eye(4)).max() < 1e-7:
            break
    return matrix


def _about_vertical(angle_rad: float, centre: np.ndarray) -> Matrix:
    """A turn about the camera's y axis through a point."""
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    rotation = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
    return Similarity(1.0, rotation, centre - rotation @ centre).matrix


def _apply(matrix: Matrix, points: Points) -> Points:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _squared_chamfer(a: Points, b: Points) -> float:
    return float((KDTree(b).query(a)[0] ** 2).mean() + (KDTree(a).query(b)[0] ** 2).mean())
