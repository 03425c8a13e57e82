"""A known camera height. All lengths in a predicted room are proportional to it."""

from typing import Any

from panoptic3d.errors import InputError
from panoptic3d.geometry.floor_plane import floor_plane
from panoptic3d.geometry.room_planes import PlaneRules
from panoptic3d.models.seen_floor import pixels_of_floor, points_of
from panoptic3d.models.slots import Seen

_RULES = PlaneRules(least_points=200)


def with_camera_height(seen: Seen, height_m: float) -> tuple[Seen, dict[str, Any]]:
    """Scale all maps of one image so that the predicted floor is `height_m` below the camera."""
    own_m, source = _own_height(seen)
    if own_m is None:
        raise InputError(
            "no floor is seen in the photo, so that --camera-height-m has nothing to measure; give --depth, or leave it out."
        )
    factor = height_m / own_m
    facts = {"camera_height_m": height_m, "own_height_m": round(own_m, 4), "factor": round(factor, 5), "by": source}
    return seen.scaled(factor), facts


def _own_height(seen: Seen) -> tuple[float | None, str]:
    """Height of the camera above the predicted floor: the stance if there is one, else the lowest level plane of the depth.

    A plane fitted to predicted depth tilts, which moves its offset (docs/experiments/2026-11-30-depth.md).
    """
    stance = getattr(seen.rays, "stance", None)
    if stance is not None:
        return float(stance.floor_m[0]), "the stance"
    points = points_of(seen)
    lower = points[len(points) // 2 :].reshape(-1, 3)
    planes = {"the floor's pixels": floor_plane(points[pixels_of_floor(seen).cpu()], _RULES)}
    planes["the lower half of the picture"] = floor_plane(lower, _RULES)
    found = {source: -plane.offset_m for source, plane in planes.items() if plane is not None}
    if not found:
        return None, ""
    source = max(found, key=lambda name: found[name])
    return found[source], source
