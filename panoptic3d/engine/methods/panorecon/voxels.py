"""The terms of the voxel net on a batch, each sample against its own truth."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from panoptic3d.data.targets import geometry_target, level_targets
from panoptic3d.losses.voxel_objective import VoxelObjectiveConfig, VoxelTargets, voxel_terms
from panoptic3d.structures.prediction import LabelledLevel, Levels, SurfaceLevel
from panoptic3d.structures.sample import VoxelTruth


def voxel_terms_of_samples(
    levels: Levels[LabelledLevel, SurfaceLevel],
    truths: Sequence[VoxelTruth],
    channels: Sequence[Mapping[int, int]],
    config: VoxelObjectiveConfig,
) -> list[dict[str, Tensor]]:
    """Weighted terms of each sample. One sample's dense targets at a time are in memory."""
    strides = tuple(level.voxels.stride for level in levels)
    terms = []
    for member, (truth, channel) in enumerate(zip(truths, channels, strict=True)):
        own = [level.of_member(member) for level in levels]
        terms.append(voxel_terms(own, voxel_targets(truth, channel, strides), config))
    return terms


@torch.no_grad()
def voxel_targets(truth: VoxelTruth, channels: Mapping[int, int], strides: Sequence[int]) -> tuple[VoxelTargets, ...]:
    """`channels` maps file ids to channels. Instances without a channel keep their class and lose their id."""
    made = []
    for stride in strides:
        level = level_targets(truth, stride, channels)
        made.append(
            VoxelTargets(
                occupancy=level.occupancy[None],
                semantic=level.semantic[None],
                instance=level.instance[None],
                weight=level.weight[None],
                distance_vox=geometry_target(truth)[None] if stride == 1 else None,
            )
        )
    return tuple(made)
