"""The finest level of a prediction as fields at the voxels of the finest grid that have something to say."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.models.centre_grouping.config import CentreGroupingConfig
from panoptic3d.sparse.resampling import resampled, resampled_box, resampling_mix
from panoptic3d.structures.prediction import CentreLevel, SeededLevel, SurfaceLevel
from panoptic3d.structures.sparse_voxels import SparseVoxels

FREE_OCCUPANCY, FREE_DISTANCE = -1.0, 3.0  # for voxels that no coarse level covers


@dataclass(frozen=True, eq=False)
class Fields:
    """Fields of one image. `surface` are the rows near a surface; only these have classes and offsets."""

    coords: Int64[Tensor, "n 3"]  # in C order
    distance_vox: Float[Tensor, " n"]
    surface: Int64[Tensor, " s"]
    semantic_logits: Float[Tensor, "s classes"]
    centre_offsets: Float[Tensor, "s 3"] | None = None  # without any, every voxel points at its own pixel,
    voted_vox: Float[Tensor, "s 3"] | None = None  # or at that of the place for which it votes


def fields_of(level: CentreLevel | SurfaceLevel, member: int, config: CentreGroupingConfig) -> Fields:
    is_read = level.voxels.rows_of(member)
    if isinstance(level, CentreLevel) and level.voxels.stride == 1:  # distances are learnt where a surface is near
        is_read = is_read & (level.occupancy_logit > config.min_occupancy_logit)
    rows = is_read.nonzero()[:, 0]
    coords = level.voxels.coords[rows]
    coords[:, 0] = 0
    offsets = level.centre_offsets[rows] if isinstance(level, CentreLevel) else None
    votes = level.voted_vox if isinstance(level, SeededLevel) else None
    if level.voxels.stride == 1:
        distance = level.distance_vox[rows]
        surface = _near(distance, config).nonzero()[:, 0]
        return Fields(
            coords=coords[:, 1:].long(),
            distance_vox=distance,
            surface=surface,
            semantic_logits=level.semantic_logits[rows][surface],
            centre_offsets=None if offsets is None else offsets[surface],
            voted_vox=None if votes is None else votes[rows][surface],
        )
    coarse = SparseVoxels(coords, 1, level.voxels.shape, level.voxels.stride)
    cells = occupied_cells(coarse, level.occupancy_logit[rows], config)
    mix = resampling_mix(coarse, cells, config.resample)
    distance = resampled(level.distance_vox[rows][:, None], mix, FREE_DISTANCE)[:, 0]
    surface = _near(distance, config).nonzero()[:, 0]
    mix = resampling_mix(coarse, cells[surface], config.resample)
    return Fields(
        coords=cells[:, 1:],
        distance_vox=distance,
        surface=surface,
        semantic_logits=resampled(level.semantic_logits[rows], mix, 0.0),
        centre_offsets=None if offsets is None else resampled(offsets, mix, 0.0),
    )


def occupied_cells(
    coarse: SparseVoxels, occupancy_logit: Float[Tensor, " n"], config: CentreGroupingConfig
) -> Int64[Tensor, "m 4"]:
    """Finest voxels whose resized occupancy logit is above the threshold."""
    box, origin = resampled_box(occupancy_logit[:, None], coarse, FREE_OCCUPANCY, config.resample)
    at = (box[:, 0] > config.min_occupancy_logit).nonzero()
    return at + torch.tensor((0, *origin), device=at.device)


def _near(distance_vox: Tensor, config: CentreGroupingConfig) -> Bool[Tensor, " n"]:
    return distance_vox.abs() < config.surface_vox
