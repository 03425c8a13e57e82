"""Fit the plane of the floor to points that mostly lie on it, for cameras with unknown tilt."""

import math

from jaxtyping import Float
from torch import Tensor

from panoptic3d.geometry.room_planes import Plane, PlaneRules, level_plane

_PITCHES_DEG = (
    -15.0,
    0.0,
    15.0,
    30.0,
    45.0,
)  # downward pitches to try: people hold a camera level or point it at things


def floor_plane(points: Float[Tensor, "n 3"], rules: PlaneRules) -> Plane | None:
    """Below the camera, its normal up; of the planes that begin from several tilts the one with most points near it."""
    best: Plane | None = None
    most = rules.least_points - 1
    if len(points) <= most:
        return None
    for pitch in _PITCHES_DEG:
        angle = math.radians(pitch)
        plane = level_plane(points, points.new_tensor([0.0, -math.cos(angle), -math.sin(angle)]), rules)
        if plane is None or plane.offset_m >= 0:
            continue
        count = int((plane.distance_m(points).abs() < rules.band_m).sum())
        if count > most:
            best, most = plane, count
    return best
