"""Chamfer, accuracy, completeness, precision, recall, F-score and normal consistency under a declared protocol."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.spatial import KDTree

from panoptic3d.metrics.surface_alignment import align
from panoptic3d.metrics.surface_points import SurfacePoints
from panoptic3d.metrics.surface_protocol import SurfaceProtocol
from panoptic3d.randomness import numpy_generator


@dataclass(frozen=True)
class ThresholdScore:
    threshold: float  # in the unit of the protocol's distance
    precision: float
    recall: float
    f_score: float


@dataclass(frozen=True)
class SurfaceScores:
    """Distances are None where one side has no surface; then precision, recall and F are 0."""

    chamfer: float | None
    accuracy: float | None  # prediction to truth; of the objects alone it is what papers call CD-S
    completeness: float | None  # truth to prediction
    at: tuple[ThresholdScore, ...]
    normal_consistency: float | None
    sampling_floor: float | None  # the Chamfer distance of the truth to itself, two draws without a common point
    alignment: str  # what was done to the prediction before, in words


def surface_scores(
    prediction: SurfacePoints, truth: SurfacePoints, protocol: SurfaceProtocol, seed: int = 0
) -> SurfaceScores:
    """Both sides in one frame, culled as the protocol asks; points are drawn here."""
    drawn, target = (_prepared(s, protocol, seed, n) for s, n in ((prediction, "prediction"), (truth, "truth")))
    if not len(drawn) or not len(target):
        nothing = tuple(ThresholdScore(t, 0.0, 0.0, 0.0) for t in protocol.thresholds)
        return SurfaceScores(None, None, None, nothing, None, None, "none: one side has no surface")
    matrix, words = align(drawn.points_m, target.points_m, protocol)
    drawn = drawn.moved(matrix)
    there, place_there = _nearest(drawn, target, protocol)
    back, place_back = _nearest(target, drawn, protocol)
    normals = _consistency(drawn, target, place_there, place_back) if protocol.has_normals else None
    floor = _sampling_floor(truth, protocol, seed)
    at = tuple(_at(threshold, there, back) for threshold in protocol.thresholds)
    chamfer = _chamfer(there, back, protocol)
    return SurfaceScores(chamfer, float(there.mean()), float(back.mean()), at, normals, floor, words)


def _sampling_floor(truth: SurfacePoints, protocol: SurfaceProtocol, seed: int) -> float | None:
    """The score of a perfect surface, which is not 0: between two draws of the truth that share no point."""
    count = min(protocol.num_points, len(truth) // 2)
    if not count:
        return None
    both = truth.drawn(2 * count, seed, "floor")
    order = numpy_generator(seed, "halves").permutation(len(both))
    a, b = (both.where(np.sort(half)) for half in (order[:count], order[count : 2 * count]))
    if protocol.downsample_m:
        a, b = a.thinned(protocol.downsample_m), b.thinned(protocol.downsample_m)
    return _chamfer(_nearest(a, b, protocol)[0], _nearest(b, a, protocol)[0], protocol)


def _prepared(side: SurfacePoints, protocol: SurfaceProtocol, seed: int, name: str) -> SurfacePoints:
    drawn = side.drawn(protocol.num_points, seed, name)
    return drawn.thinned(protocol.downsample_m) if protocol.downsample_m else drawn


def _nearest(
    side: SurfacePoints, other: SurfacePoints, protocol: SurfaceProtocol
) -> tuple[Float64[np.ndarray, " n"], np.ndarray]:
    """Distance, in the protocol's unit, from each point to the nearest point of the other side, and that point's index."""
    distance_m, place = KDTree(other.points_m).query(side.points_m)
    distance_m = np.asarray(distance_m, dtype=np.float64)
    return (distance_m**2 if protocol.distance == "squared" else distance_m), np.asarray(place)


def _chamfer(there: np.ndarray, back: np.ndarray, protocol: SurfaceProtocol) -> float:
    total = float(there.mean() + back.mean())
    return total / 2 if protocol.combine == "mean" else total


def _at(threshold: float, there: np.ndarray, back: np.ndarray) -> ThresholdScore:
    precision, recall = float((there <= threshold).mean()), float((back <= threshold).mean())
    f_score = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return ThresholdScore(threshold, precision, recall, f_score)


def _consistency(a: SurfacePoints, b: SurfacePoints, from_a: np.ndarray, from_b: np.ndarray) -> float:
    """Mean |cos| between the normals of nearest points, both ways."""
    one_way = np.abs((a.normals * b.normals[from_a]).sum(axis=1)).mean()
    other_way = np.abs((b.normals * a.normals[from_b]).sum(axis=1)).mean()
    return float((one_way + other_way) / 2)
