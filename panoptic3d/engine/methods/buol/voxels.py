"""The five loss terms of BUOL's voxel net for one sample (sections 3.3 and 7.2)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.data.centre_targets import REACH_PX, SIGMA_PX
from panoptic3d.data.targets import lookup, weight_at
from panoptic3d.engine.methods.buol.config import BuolObjectiveConfig
from panoptic3d.losses.centre_terms import heat_term, voxel_offset_term
from panoptic3d.models.centre_grouping.fields import FREE_DISTANCE, FREE_OCCUPANCY
from panoptic3d.sparse.resampling import Placement, resampled, resampling_mix
from panoptic3d.sparse.row_ops import RowMix
from panoptic3d.structures.prediction import CentreLevel
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, VoxelTruth


@dataclass(frozen=True, eq=False)
class CentresInSpace:
    """Centres of the things that have voxels near a surface, and the target offsets of these voxels."""

    centres_vox: Int64[Tensor, "n 3"]  # the voxel of the band nearest to each
    band: Int64[Tensor, " b"]  # rows of the truth
    offsets: Float[Tensor, "b 3"]  # 0 for voxels of nothing that the image shows


@torch.no_grad()
def centres_in_space(
    truth: VoxelTruth, pixels: Float[Tensor, "n 2"], ids: tuple[int, ...], centres: Float[Tensor, "c 2"]
) -> CentresInSpace:
    """`pixels` (u, v) of every listed voxel, `centres` (row, column) in the same image; the third offset is in voxels."""
    band = (truth.distance_vox.abs() < DISTANCE_TRUNCATION_VOX).nonzero()[:, 0]
    coords, (u, v) = truth.coords[band].long(), pixels[band].unbind(1)
    k = coords[:, 2].to(u.dtype)
    offsets = torch.zeros(len(band), 3, dtype=u.dtype, device=u.device)
    found = []
    for number, (row, column) in zip(ids, centres.to(u.dtype), strict=True):
        own = truth.instance[band] == number
        if not bool(own.any()):
            continue
        middle = k[own].mean()
        towards = torch.stack((row - v, column - u, middle - k), dim=1)
        offsets[own] = towards[own]
        found.append(coords[towards.square().sum(dim=1).argmin()])
    nothing = coords.new_zeros(0, 3)
    return CentresInSpace(torch.stack(found) if found else nothing, band, offsets)


def voxel_terms(
    level: CentreLevel,
    cells: Int64[Tensor, "m 4"],
    truth: VoxelTruth,
    wanted: CentresInSpace,
    placement: Placement,
    config: BuolObjectiveConfig,
) -> dict[str, Tensor]:
    """`cells` are the finest voxels that the network predicts. Voxels in the band get all terms; the others only learn that
    nothing is near and no centre either.
    """
    assert level.centre_heat is not None
    everywhere = _mix(level, cells, placement)
    both = torch.stack((level.occupancy_logit, level.centre_heat), dim=1)
    occupancy, heat = resampled(both, everywhere, both.new_tensor((FREE_OCCUPANCY, 0.0))).unbind(1)
    row = lookup(truth, cells[:, 1:])
    is_near = (row >= 0) & (truth.distance_vox[row].abs() < DISTANCE_TRUNCATION_VOX)
    terms = {
        "occupancy_3d": config.occupancy_weight * _occupancy_term(occupancy, is_near),
        "centre_3d": config.centre_weight * heat_term(heat, _heat_at(cells[:, 1:], wanted.centres_vox, heat)),
    }
    return terms | _near_terms(level, cells[is_near], row[is_near], truth, wanted, placement, config)


def _near_terms(
    level: CentreLevel,
    cells: Int64[Tensor, "m 4"],
    rows: Int64[Tensor, " m"],
    truth: VoxelTruth,
    wanted: CentresInSpace,
    placement: Placement,
    config: BuolObjectiveConfig,
) -> dict[str, Tensor]:
    num_classes = level.semantic_logits.shape[1]
    together = torch.cat((level.semantic_logits, level.centre_offsets, level.distance_vox[:, None]), dim=1)
    fill = together.new_tensor([0.0] * (num_classes + 3) + [FREE_DISTANCE])
    semantic, offsets, distance = resampled(together, _mix(level, cells, placement), fill).split((num_classes, 3, 1), 1)
    weight = weight_at(truth, cells[:, 1:], 1)
    classes = F.cross_entropy(semantic, truth.semantic[rows].long(), reduction="none")
    distance_error = (distance[:, 0] - truth.distance_vox[rows].abs()).abs()
    of_band = torch.zeros(len(truth.linear_index), 3, dtype=offsets.dtype, device=offsets.device)
    of_band[wanted.band] = wanted.offsets.to(offsets.dtype)
    count = max(len(rows), 1)
    return {
        "semantic_3d": config.semantic_weight * (weight * classes).sum() / count,
        "offset_3d": config.offset_weight * voxel_offset_term(offsets, of_band[rows]),
        "geometry": config.distance_weight * (weight * distance_error).sum() / count,
    }


def _mix(level: CentreLevel, cells: Int64[Tensor, "m 4"], placement: Placement) -> RowMix:
    return resampling_mix(level.voxels, cells, placement)


def _occupancy_term(logit: Float[Tensor, " n"], is_near: Bool[Tensor, " n"]) -> Tensor:
    cost = F.binary_cross_entropy_with_logits(logit, is_near.to(logit.dtype), reduction="none")
    return cost.sum() / max(len(cost), 1)


def _heat_at(
    coords: Int64[Tensor, "n 3"], centres: Int64[Tensor, "c 3"], like: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """A Gaussian around each centre, the greatest where they meet, nothing beyond its cube."""
    heat = torch.zeros_like(like)
    for centre in centres:
        steps = coords - centre
        bump = torch.exp(-steps.square().sum(dim=1).to(like.dtype) / (2 * SIGMA_PX**2))
        heat = torch.maximum(heat, torch.where((steps.abs() <= REACH_PX).all(dim=1), bump, 0.0))
    return heat
