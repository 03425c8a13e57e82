"""The lift, the other way round: every voxel looks up what the image says about it, exactly where the camera sees it.

Nothing is scattered, so nothing depends on an order, and voxels behind the visible surface are asked like all others.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from panoptic3d.geometry.frustum import frustum_mask
from panoptic3d.geometry.pinhole import project
from panoptic3d.geometry.precision import widened
from panoptic3d.models.clearview.maps import SEMANTICS, LayeredEstimate
from panoptic3d.models.slots import Lifted, Panoptic2D, RayEstimate
from panoptic3d.sparse.interpolation import image_features_at
from panoptic3d.sparse.voxels import voxels_of_mask
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid, released_grid
from panoptic3d.structures.sparse_voxels import SparseVoxels

COARSEST = 4
_NUM_POSITION, _NUM_GAPS = 4, 4
_FINE_M, _WIDE_M = 0.06, 0.36  # the two rulers by which a voxel measures its distance from a surface


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """Maps that voxels of any level read, and the way from a voxel to its pixel. All but `features` are at least float32."""

    grids: tuple[VoxelGrid, ...]
    cameras: tuple[Camera, ...]  # of the maps
    features: Float[Tensor, "b c h w"]
    probabilities: Float[Tensor, "b classes h w"]
    depth_m: Float[Tensor, "b h w"]
    log_spread: Float[Tensor, "b h w"]
    layout_m: Float[Tensor, "b h w"] | None
    planes: Float[Tensor, "b planes h w"] | None  # occupancy, as probabilities
    plane_spacing_m: float

    def at(self, voxels: SparseVoxels) -> Float[Tensor, "n c"]:
        """What the maps say at the centres of voxels."""
        points_m, pixels = self._seen(voxels)
        member, z = voxels.coords[:, 0].long(), points_m[:, 2]
        scalars = [self.depth_m, self.log_spread, *([] if self.layout_m is None else [self.layout_m])]
        stacked = torch.cat((self.features, self.probabilities, torch.stack(scalars, dim=1)), dim=1)
        read = image_features_at(stacked, pixels, member)
        maps, depth, spread = read[:, : -len(scalars)], read[:, -len(scalars)], read[:, 1 - len(scalars)]
        gaps = [*_rulers(z - depth), spread]
        if self.layout_m is not None:
            gaps += _rulers(z - read[:, -1])
        if self.planes is not None:
            gaps.append(_between_planes(self.planes, pixels, z / self.plane_spacing_m, member))
        position = torch.cat((points_m / 3, 1 / z[:, None].clamp(min=0.2)), dim=1)
        return torch.cat((maps, torch.stack(gaps, dim=1), position), dim=1)

    def probabilities_of(self, read: Float[Tensor, "n c"]) -> Float[Tensor, "n classes"]:
        """The classes of their pixels among what voxels read."""
        first = self.features.shape[1]
        return read[:, first : first + self.probabilities.shape[1]]

    def gaps_m(self, voxels: SparseVoxels) -> Float[Tensor, " n"]:
        """How far centres lie behind the surface that their pixel shows, along the optical axis."""
        points_m, pixels = self._seen(voxels)
        return points_m[:, 2] - image_features_at(self.depth_m[:, None], pixels, voxels.coords[:, 0].long())[:, 0]

    def _seen(self, voxels: SparseVoxels) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 2"]]:
        """Centres in front of the camera, and their pixels, kept on the image."""
        points, pixels = [], []
        for number, (grid, camera) in enumerate(zip(self.grids, self.cameras, strict=True)):
            own = voxels.coords[voxels.coords[:, 0] == number, 1:].to(self.depth_m.dtype)
            point = grid.coarsened(voxels.stride).camera_from_index(own)
            pixel, _ = project(point, camera.intrinsics.to(point))
            limit = pixel.new_tensor([camera.width - 1, camera.height - 1])
            points.append(point)
            pixels.append(pixel.clamp(min=0).minimum(limit))
        return torch.cat(points), torch.cat(pixels)


@dataclass(frozen=True, eq=False, kw_only=True)
class Gathered(Lifted):
    evidence: Evidence


class Gather:
    """Reads for every cell of stride 4 in the frustum, or near the surface alone; the voxel net reads again, refining."""

    def __init__(self, reach_m: float | None = None) -> None:
        self.reach_m = reach_m

    def __call__(self, rays: RayEstimate, panoptic: Panoptic2D, grids: tuple[VoxelGrid, ...] | None = None) -> Gathered:
        """`grids`: where the voxels shall lie, if that is not for the cameras to say."""
        assert isinstance(rays, LayeredEstimate)
        device = rays.depth_m.device
        chosen = grids or tuple(released_grid(c.intrinsics, (c.width, c.height)) for c in rays.cameras)
        seen = torch.stack([_cells_in_sight(*pair) for pair in zip(rays.cameras, chosen, strict=True)]).to(device)
        evidence = Evidence(
            grids=chosen,
            cameras=rays.cameras,
            features=rays.features,
            probabilities=widened(panoptic.maps[SEMANTICS]).softmax(dim=1),
            depth_m=widened(rays.depth_m),
            log_spread=widened(rays.log_spread),
            layout_m=None if rays.layout_m is None else widened(rays.layout_m),
            planes=None if rays.occupancy_logits is None else widened(rays.occupancy_logits).sigmoid(),
            plane_spacing_m=rays.plane_spacing_m or 1.0,
        )
        voxels = voxels_of_mask(seen, COARSEST)
        if self.reach_m is not None:
            seen = seen.masked_scatter(seen, evidence.gaps_m(voxels).abs() <= self.reach_m)
            voxels = voxels_of_mask(seen, COARSEST)
        return Gathered(
            grids=chosen, voxels=voxels, features=evidence.at(voxels), is_in_frustum=seen, evidence=evidence
        )


def num_gathered(num_features: int, num_classes: int, has_layout: bool, has_planes: bool) -> int:
    return num_features + num_classes + 3 + 2 * has_layout + has_planes + _NUM_POSITION


def _rulers(gap_m: Float[Tensor, " n"]) -> list[Float[Tensor, " n"]]:
    """A signed distance by two rulers, each of which saturates: centimetres near a surface, the side far from it."""
    return [(gap_m / _FINE_M).clamp(-2, 2), (gap_m / _WIDE_M).clamp(-2, 2)]


def _between_planes(
    planes: Float[Tensor, "b planes h w"], pixels: Float[Tensor, "n 2"], plane: Float[Tensor, " n"], member: Tensor
) -> Float[Tensor, " n"]:
    """Linear between the two planes around a voxel, at the nearest pixel: the maps are smooth."""
    _, count, height, width = planes.shape
    u, v = (pixels + 0.5).floor().long().unbind(dim=1)
    place = plane.clamp(0, count - 1.001)
    low = place.floor().long()
    share = place - low
    flat = planes.reshape(-1)
    at = ((member * count + low) * height + v) * width + u
    return flat[at] * (1 - share) + flat[at + height * width] * share


@lru_cache(maxsize=64)
def _cells_in_sight(camera: Camera, grid: VoxelGrid) -> Bool[Tensor, "x4 y4 z4"]:
    size = (camera.width, camera.height)
    seen = frustum_mask(camera.intrinsics, size, grid.shape, grid.voxel_size_m, grid.camera_index)
    for axis in (0, 2, 4):
        seen = seen.unflatten(axis, (-1, COARSEST))
    return seen.any(dim=5).any(dim=3).any(dim=1)
