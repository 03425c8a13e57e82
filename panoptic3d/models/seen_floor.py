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
    is_below = plane.distance_m(points[is_measured]) < -_BELOW_M
    return plane if float(is_below.double().mean()) < _MOST_BELOW else None
