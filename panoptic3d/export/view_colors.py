"""Colours of what the scene's own photo does not show and another one of its photos does: from the view that sees it best."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor

from panoptic3d.export.photo_depth import mesh_camera
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import View

_BEHIND_M = 0.06  # farther behind what a view shows a vertex is hidden from it
_FLATTEST = 0.1  # cosine of the viewing angle: surfaces seen at a more grazing angle get smeared colours
Rasterize = Callable[[Tensor, Tensor, Camera], Float32[Tensor, "h w"]]  # depth, infinite where nothing is


def colors_from_views(
    vertices_m: Float[Tensor, "v 3"],
    normals: Float32[Tensor, "v 3"],
    faces: Int64[Tensor, "f 3"],
    views: Sequence[View],
    rasterize: Rasterize,
) -> tuple[UInt8[Tensor, "v 3"], Bool[Tensor, " v"]]:
    """A colour for every vertex that any photo shows, and which those are. A view is the better the nearer and the more
    straight on it sees a vertex.
    """
    color = torch.zeros(len(vertices_m), 3, dtype=torch.uint8)
    best = torch.zeros(len(vertices_m), dtype=torch.float64)
    for view in views:
        if view.photo is None:
            continue
        inverse = torch.linalg.inv(view.scene_from_camera)
        points = vertices_m.double() @ inverse[:3, :3].T + inverse[:3, 3]
        small = mesh_camera(view.camera)
        row, column, is_inside = _pixels(points, small)
        depth = rasterize(points.float(), faces, small)[row, column]
        turned = normals.double() @ inverse[:3, :3].T
        distance = points.norm(dim=1).clamp(min=1e-6)
        cosine = -(turned * points).sum(dim=1) / distance
        quality = cosine / distance
        is_better = is_inside & (points[:, 2] < depth + _BEHIND_M) & (cosine > _FLATTEST) & (quality > best)
        row, column, _ = _pixels(points[is_better], view.camera)
        color[is_better] = view.photo[:, row, column].T
        best[is_better] = quality[is_better]
    return color, best > 0


def _pixels(points: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor]:
    depth = points[:, 2].clamp(min=1e-6)
    column = (points[:, 0] / depth * camera.fx_px + camera.cx_px + 0.5).floor()
    row = (points[:, 1] / depth * camera.fy_px + camera.cy_px + 0.5).floor()
    is_inside = (points[:, 2] > 0.05) & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    return (
        row.clamp(0, camera.height - 1).long(),
        column.clamp(0, camera.width - 1).long(),
        is_inside,
    )
