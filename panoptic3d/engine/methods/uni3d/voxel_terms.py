"""The terms of the voxel net on one sample (section 7.3): occupancy, matched queries and distance, each with its weight."""

from collections.abc import Iterable

from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.data.targets import geometry_target, weight_at
from panoptic3d.engine.methods.uni3d.config import QueryVoxelTermsConfig
from panoptic3d.engine.methods.uni3d.truth import SegmentTruth, inside_segments, voxel_members
from panoptic3d.losses.query_terms import query_voxel_term
from panoptic3d.losses.voxel_terms import distance_term, occupancy_term
from panoptic3d.structures.prediction import InstanceLevel, InstanceSurface, LevelPrediction
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, VoxelTruth


def query_voxel_terms(
    levels: Iterable[LevelPrediction],
    truth: VoxelTruth,
    segments: SegmentTruth,
    targets: Int64[Tensor, " m"],
    num_targets: float,
    config: QueryVoxelTermsConfig,
) -> dict[str, Tensor]:
    """`targets` are those of the columns of the levels' instance logits, which may be more."""
    members = voxel_members(truth, segments)[targets]
    terms = {}
    for level in levels:
        size = truth.grid.shape[0] // level.voxels.stride
        terms |= {
            f"{name}_{size}": term for name, term in _level_terms(level, truth, members, num_targets, config).items()
        }
        if isinstance(level, InstanceSurface):
            cells, weight = _cells(level.voxels.coords), _weights(truth, level.voxels.coords, 1)
            field = geometry_target(truth)[cells[:, 0], cells[:, 1], cells[:, 2]]
            distance = distance_term(level.distance_vox, field, weight, config.truncation_vox)
            terms["distance"] = config.distance_weight * distance
    return terms


def _level_terms(
    level: LevelPrediction,
    truth: VoxelTruth,
    members: Tensor,
    num_targets: float,
    config: QueryVoxelTermsConfig,
) -> dict[str, Tensor]:
    assert isinstance(level, InstanceLevel), "a net in training says instances at every level"
    stride = level.voxels.stride
    logits = level.instance_logits[:, : len(members)]
    inside = inside_segments(truth, members, _cells(level.voxels.coords), stride)
    instance = query_voxel_term(logits, inside, _weights(truth, level.voxels.coords, stride))
    occupancy = occupancy_term(
        level.occupancy_logit,
        _occupied(truth, level.candidates.coords, stride),
        _weights(truth, level.candidates.coords, stride),
    )
    weight = {4: config.occupancy_64_weight, 2: config.occupancy_128_weight, 1: config.occupancy_256_weight}[stride]
    return {"occupancy": weight * occupancy, "query_voxels": config.instance_weight * instance / num_targets}


def _occupied(truth: VoxelTruth, coords: Tensor, stride: int) -> Tensor:
    i, j, k = _cells(coords).unbind(1)
    if stride > 1:
        return truth.coarse_occupancy[stride][i, j, k]
    return truth.dense(truth.distance_vox.abs() < DISTANCE_TRUNCATION_VOX, False)[i, j, k]


def _weights(truth: VoxelTruth, coords: Tensor, stride: int) -> Float[Tensor, " n"]:
    return weight_at(truth, _cells(coords), stride)


def _cells(coords: Tensor) -> Int64[Tensor, "n 3"]:
    return coords[:, 1:].long()
