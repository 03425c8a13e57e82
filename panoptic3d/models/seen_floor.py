"""The floor as the 2D stage sees it: a plane through the depth of pixels."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from panoptic3d.geometry.floor_plane import floor_plane
from panoptic3d.geometry.pinhole import unproject_depth_map
from panoptic3d.geometry.room_planes import Plane, PlaneRules
from panoptic3d.models.slots import Seen
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

_CLASSES = "semantics"  # class logits of pixels, in methods that have them
_FLOOR = FRONT3D_TAXONOMY.id_of("floor")
_FEW_PIXELS = 100  # of a floor that is too small to be a plane of its own
_ALIKE, _SHARE_ALIKE = 0.01, 0.8  # of its height: so near the median is so much of it
_BELOW_M, _MOST_BELOW = 0.1, 0.05  # where more of what was measured lies so far below it, a plane is a bed or a table


def pixels_of_floor(seen: Seen) -> Bool[Tensor, "h w"]:
    """Floor pixels of one image, at the size of its depth map. Empty for methods without pixel classes."""
    depth_m, logits = seen.rays.depth_m[0], seen.panoptic.maps.get(_CLASSES)
    if logits is None:
        return torch.zeros_like(depth_m, dtype=torch.bool)
    is_floor = logits[:1].argmax(dim=1) == _FLOOR
    if is_floor.shape[1:] != depth_m.shape:
        is_floor = torch.nn.functional.interpolate(is_floor[:, None].float(), size=depth_m.shape)[:, 0] > 0.5
    return is_floor[0]


def points_of(seen: Seen) -> Float[Tensor, "h w 3"]:
    """In float64 on the CPU."""
    return unproject_depth_map(seen.rays.depth_m[0].double().cpu(), seen.rays.cameras[0].intrinsics)


def measured_floor(seen: Seen, is_measured: Bool[Tensor, "h w"], rules: PlaneRules) -> Plane | None:
    """Floor plane from measured floor pixels. None if they show no level plane, or if other pixels lie below it."""
    points, is_measured = points_of(seen), is_measured.cpu()
    plane = floor_plane(points[pixels_of_floor(seen).cpu() & is_measured], rules)
    if plane is None:
        return None
    return None if _has_more_below(-plane.distance_m(points[is_measured])) else plane


def small_floor_m(seen: Seen, is_measured: Bool[Tensor, "h w"], down: Float[Tensor, "3"]) -> float | None:
    """How far a patch of floor lies below the camera, if it is too small for `measured_floor`. None if its pixels are at
    different heights along `down`, or if other pixels lie below them.
    """
    points, is_measured = points_of(seen), is_measured.cpu()
    below_m = points @ down.to(points)
    floor_m = below_m[pixels_of_floor(seen).cpu() & is_measured]
    if len(floor_m) < _FEW_PIXELS:
        return None
    height_m = floor_m.median()
    apart = ((floor_m - height_m).abs() / height_m).quantile(_SHARE_ALIKE)
    if height_m <= 0 or apart > _ALIKE or _has_more_below(below_m[is_measured] - height_m):
        return None
    return float(height_m)


def _has_more_below(depth_m: Float[Tensor, " n"]) -> bool:
    """`depth_m` under what is taken for the floor."""
    return float((depth_m > _BELOW_M).double().mean()) >= _MOST_BELOW
