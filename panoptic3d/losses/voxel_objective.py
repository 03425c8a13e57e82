"""The 3D objective: the terms of every level with their weights (PanoRecon, section 4.2), and which levels train when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Integer
from pydantic import Field
from torch import Tensor

from panoptic3d.config import Config
from panoptic3d.losses.voxel_terms import class_term, distance_term, occupancy_term, occupancy_term_averaged_first
from panoptic3d.structures.prediction import LabelledLevel, SurfaceLevel
from panoptic3d.structures.sparse_voxels import SparseVoxels

# Of the shipped 3D-Front configuration (section 4.2): void first, then in the order of the taxonomy.
FRONT3D_CLASS_WEIGHTS = (
    0.001, 5.012206425, 3.67783818, 4.255409701, 4.810809432, 4.542602089, 6.743836113, 4.789477957, 10.28815007,
    5.401373831, 1.7803661289, 1.257145849, 8.397596223,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class VoxelTargets:
    """Dense targets of one level for a batch."""

    occupancy: Bool[Tensor, "b x y z"]
    semantic: Integer[Tensor, "b x y z"]
    instance: Integer[Tensor, "b x y z"]  # channel of each voxel, 0 for none
    weight: Float[Tensor, "b x y z"]
    distance_vox: Float[Tensor, "b x y z"] | None = None  # truncated; at the finest level only


class VoxelObjectiveConfig(Config):
    # What the reference does by mistake, or what it says it does: weights of occupancy at 256^3 row by row, and the weight
    # of semantics at 256^3 that of semantics instead of that of instances (section 10, 14 and 15).
    occupancy_256: Literal["averaged-first", "row-by-row"] = "row-by-row"
    semantic_256_weight: Literal["of-instances", "of-semantics"] = "of-semantics"
    occupancy_64_weight: float = 50.0
    occupancy_128_weight: float = 25.0
    occupancy_256_weight: float = 10.0
    instance_weight: float = 25.0
    semantic_weight: float = 5.0
    distance_weight: float = 5.0
    truncation_vox: float = 3.0
    no_instance_weight: float = 0.05
    class_weights: tuple[float, ...] = FRONT3D_CLASS_WEIGHTS


class CurriculumConfig(Config):
    """Steps for which training ends at a level; afterwards all levels train (section 4.3)."""

    begins_at: int = Field(default=0, ge=0)  # the step of the run at which the 3D stage begins
    steps_64: int = Field(default=10_000, ge=0)
    steps_128: int = Field(default=5_000, ge=0)


def finest_stride(step: int, config: CurriculumConfig) -> int:
    """The stride down to which the network runs at a step: a function of the step, so that a resumed run goes on."""
    done = step - config.begins_at
    if done < config.steps_64:
        return 4
    return 2 if done < config.steps_64 + config.steps_128 else 1


FAITHFUL_OBJECTIVE = {"occupancy_256": "averaged-first", "semantic_256_weight": "of-instances"}


def voxel_terms(
    levels: Iterable[LabelledLevel], targets: Sequence[VoxelTargets], config: VoxelObjectiveConfig
) -> dict[str, Tensor]:
    """Weighted loss terms of all given levels, by the names that the log uses. Their sum is the loss."""
    terms = {}
    for level, target in zip(levels, targets, strict=True):
        terms |= level_terms(level, target, config)
    return terms


def level_terms(level: LabelledLevel, target: VoxelTargets, config: VoxelObjectiveConfig) -> dict[str, Tensor]:
    stride, size = level.voxels.stride, 256 // level.voxels.stride
    is_finest = stride == 1
    asked, kept = _cells(level.candidates), _cells(level.voxels)
    weight = target.weight[kept]
    instance = class_term(level.instance_logits, target.instance[kept].long(), weight, _instance_weights(level, config))
    class_weights = level.semantic_logits.new_tensor(config.class_weights)
    semantic = class_term(level.semantic_logits, target.semantic[kept].long(), weight, class_weights)
    by_rows = not is_finest or config.occupancy_256 == "row-by-row"
    occupancy = (occupancy_term if by_rows else occupancy_term_averaged_first)(
        level.occupancy_logit, target.occupancy[asked], target.weight[asked]
    )
    by_semantics = not is_finest or config.semantic_256_weight == "of-semantics"
    suffix = "" if is_finest else f"_{size}"
    terms = {
        f"occupancy_{size}": _occupancy_weight(stride, config) * occupancy,
        f"instance3d{suffix}": config.instance_weight * instance,
        f"semantic3d{suffix}": (config.semantic_weight if by_semantics else config.instance_weight) * semantic,
    }
    if isinstance(level, SurfaceLevel):
        assert target.distance_vox is not None
        distance = distance_term(level.distance_vox, target.distance_vox[kept], weight, config.truncation_vox)
        terms["geometry"] = config.distance_weight * distance
    return terms


def _occupancy_weight(stride: int, config: VoxelObjectiveConfig) -> float:
    return {4: config.occupancy_64_weight, 2: config.occupancy_128_weight, 1: config.occupancy_256_weight}[stride]


def _instance_weights(level: LabelledLevel, config: VoxelObjectiveConfig) -> Float[Tensor, " instances"]:
    weights = torch.ones(level.instance_logits.shape[1], device=level.voxels.device)
    weights[0] = config.no_instance_weight
    return weights


def _cells(voxels: SparseVoxels) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """To look rows up in dense volumes."""
    member, i, j, k = voxels.coords.long().unbind(dim=1)
    return member, i, j, k
