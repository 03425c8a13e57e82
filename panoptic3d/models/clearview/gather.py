"""The lift as a gather: every voxel reads the image features at the exact point where the camera sees it.

Nothing is scattered, so nothing depends on an order, and voxels behind the visible surface are asked like all others.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from panoptic3d.geometry.frustum import frustum_mask
from panoptic3d.geometry.pinhole import project
from panoptic3d.geometry.precision import widened
from panoptic3d.models.clearview.config import LiftConfig, PixelConfig, RayConfig
from panoptic3d.models.clearview.maps import VOTE_SPREAD, VOTES, ClassMaps, LayeredEstimate
from panoptic3d.models.clearview.stance import Stance
from panoptic3d.models.clearview.visible import (
    NUM_SEEN_VOTES,
    CentreVotes,
    VisibleSurface,
    centre_votes,
    visible_surface,
)
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.slots import Lifted
from panoptic3d.sparse.interpolation import image_features_at
from panoptic3d.sparse.voxels import voxels_of_mask
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid, released_grid
from panoptic3d.structures.sparse_voxels import SparseVoxels
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy

COARSEST = 4
_NUM_POSITION, _NUM_STANCE = 4, 5
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
    stance: Stance | None = None
    votes: CentreVotes | None = None
    surface: VisibleSurface | None = None
    measured: Float[Tensor, "b h w"] | None = None  # where the depth was measured

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
        gaps = [torch.stack(gaps, dim=1), points_m / 3, 1 / z[:, None].clamp(min=0.2)]
        if self.stance is not None:
            gaps.append(_above_floor(points_m, self.stance, member))
        if self.votes is not None:
            gaps.append(self.votes.seen_from(points_m, pixels, member))
        if self.surface is not None:
            gaps.append((self.surface.distance_m(z, pixels, member) / _FINE_M).clamp(-3, 3)[:, None])
        if self.measured is not None:  # last, as what networks of before do not read
            gaps.append(image_features_at(self.measured[:, None], pixels, member))
        return torch.cat((maps, *gaps), dim=1)

    def visible(self, voxels: SparseVoxels) -> "VisibleEvidence":
        """What the maps by themselves say of voxels: `starts_from_maps` of the voxel net."""
        assert self.surface is not None
        points_m, pixels = self._seen(voxels)
        member = voxels.coords[:, 0].long()
        size_m = torch.tensor([grid.voxel_size_m for grid in self.grids], device=points_m.device)[member]
        centre_vox = None
        if self.votes is not None:
            offset_m = self.votes.seen_from_m(points_m, pixels, member)
            centre_vox = voxels.coords[:, 1:] + (voxels.stride - 1) / 2 + offset_m / size_m[:, None]
        return VisibleEvidence(self.surface.distance_m(points_m[:, 2], pixels, member) / size_m, centre_vox)

    def probabilities_of(self, read: Float[Tensor, "n c"]) -> Float[Tensor, "n classes"]:
        """The classes of their pixels among what voxels read."""
        first = self.features.shape[1]
        return read[:, first : first + self.probabilities.shape[1]]

    def is_asked(self, voxels: SparseVoxels, config: LiftConfig) -> Bool[Tensor, " n"]:
        """Whether centres lie where the config asks: along the axis, from what their pixel shows and the room behind."""
        points_m, pixels = self._seen(voxels)
        layout_m = (
            self.depth_m.new_full((), torch.inf).expand_as(self.depth_m) if self.layout_m is None else self.layout_m
        )
        stacked = torch.stack((self.depth_m, layout_m, self.log_spread.exp()), dim=1)
        depth_m, end_m, spread = image_features_at(stacked, pixels, voxels.coords[:, 0].long()).unbind(dim=1)
        z = points_m[:, 2]
        is_asked = torch.ones_like(z, dtype=torch.bool)
        if config.reach_m is not None:
            is_asked &= (z - depth_m).abs() <= config.reach_m
        if config.margin_m is not None:
            end_m = torch.maximum(depth_m, end_m)  # what is seen is part of the room, whatever the layout says
            margin_m = config.margin_m + config.margin_spreads * spread * depth_m
            is_asked &= (z >= depth_m - margin_m) & ~(z > end_m + margin_m)
        return is_asked

    def _seen(self, voxels: SparseVoxels) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 2"]]:
        """Centres in front of the camera, and their pixels, kept on the image."""
        points, pixels = [], []
        members = voxels.coords[:, 1:].to(self.depth_m.dtype).split(voxels.counts)
        for own, grid, camera in zip(members, self.grids, self.cameras, strict=True):
            point = grid.coarsened(voxels.stride).camera_from_index(own)
            pixel, _ = project(point, camera.intrinsics.to(point))
            limit = pixel.new_tensor([camera.width - 1, camera.height - 1])
            points.append(point)
            pixels.append(pixel.clamp(min=0).minimum(limit))
        return torch.cat(points), torch.cat(pixels)


@dataclass(frozen=True, eq=False)
class VisibleEvidence:
    signed_vox: Float[
        Tensor, " n"
    ]  # distance from the visible surface, in voxels of the finest grid; behind it: positive
    centre_vox: Float[Tensor, "n 3"] | None  # the pixel's vote for the centre of its thing


@dataclass(frozen=True, eq=False, kw_only=True)
class Gathered(Lifted):
    evidence: Evidence
    votes_on_cells: Float[Tensor, " n"] | None = None  # also among the features


class Gather:
    """Reads for cells of stride 4: all in the frustum, or those that the config asks. The voxel net reads again, refining."""

    config_kind: ClassVar = LiftConfig

    @classmethod
    def built(cls, config: LiftConfig, method: PipelineConfig) -> "Gather":
        return cls(config, method.classes)

    def __init__(self, config: LiftConfig = LiftConfig(), taxonomy: Taxonomy = FRONT3D_TAXONOMY) -> None:  # noqa: B008
        self.config, self.taxonomy = config, taxonomy

    def __call__(
        self, rays: LayeredEstimate, panoptic: ClassMaps, grids: tuple[VoxelGrid, ...] | None = None
    ) -> Gathered:
        """`grids`: where the voxels shall lie, if that is not for the cameras to say."""
        device = rays.depth_m.device
        chosen = grids or tuple(released_grid(c.intrinsics, (c.width, c.height)) for c in rays.cameras)
        seen = torch.stack([_cells_in_sight(*pair) for pair in zip(rays.cameras, chosen, strict=True)]).to(device)
        probabilities = widened(panoptic.semantic_logits).softmax(dim=1)
        votes = None
        if VOTES in panoptic.maps:
            things = probabilities[:, list(self.taxonomy.thing_ids)].sum(dim=1)
            votes = centre_votes(
                rays.cameras, rays.depth_m, panoptic.maps[VOTES], panoptic.maps[VOTE_SPREAD], things.detach()
            )
        evidence = Evidence(
            grids=chosen,
            cameras=rays.cameras,
            features=rays.features,
            probabilities=probabilities,
            depth_m=widened(rays.depth_m),
            log_spread=widened(rays.log_spread),
            layout_m=None if rays.layout_m is None else widened(rays.layout_m),
            planes=None if rays.occupancy_logits is None else widened(rays.occupancy_logits).sigmoid(),
            plane_spacing_m=rays.plane_spacing_m or 1.0,
            stance=None if rays.stance is None else rays.stance.detached(),
            votes=votes,
            surface=None if votes is None else visible_surface(rays.cameras, rays.depth_m),
            measured=rays.measured,
        )
        voxels = voxels_of_mask(seen, COARSEST)
        if self.config != LiftConfig():
            seen = seen.masked_scatter(seen, evidence.is_asked(voxels, self.config))
            voxels = voxels_of_mask(seen, COARSEST)
        features = evidence.at(voxels)
        on_cells = None
        if votes is not None:
            on_cells = votes.on_cells(voxels, chosen)
            last = features.shape[1] - (rays.measured is not None)
            features = torch.cat((features[:, :last], on_cells[:, None], features[:, last:]), dim=1)
        return Gathered(
            grids=chosen,
            voxels=voxels,
            features=features,
            is_in_frustum=seen,
            evidence=evidence,
            votes_on_cells=on_cells,
        )


@dataclass(frozen=True)
class NumGathered:
    """Channels that voxels read, and those that cells of the coarsest level read beside them."""

    everywhere: int
    on_cells: int


def num_gathered(num_features: int, num_classes: int, rays: RayConfig, pixels: PixelConfig) -> NumGathered:
    position = num_features + num_classes + 3 + 2 * rays.has_layout + rays.has_planes + _NUM_POSITION
    votes = NUM_SEEN_VOTES + 1 if pixels.has_votes else 0
    return NumGathered(position + _NUM_STANCE * rays.has_stance + votes + rays.reads_measured, int(pixels.has_votes))


def _above_floor(points_m: Float[Tensor, "n 3"], stance: Stance, member: Tensor) -> Float[Tensor, "n 5"]:
    """Heights above the floor and below the ceiling, by two rulers and by metres."""
    fall_m = (points_m * stance.down[member]).sum(dim=1)
    above_m, below_m = stance.floor_m[member] - fall_m, stance.ceiling_m[member] + fall_m
    return torch.stack((*_rulers(above_m), above_m / 2, *_rulers(below_m)), dim=1)


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
