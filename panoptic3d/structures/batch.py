"""Several samples as one input of a network."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64, Int32, UInt8
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.given_depth import DepthKind
from panoptic3d.structures.moving import map_tensors, moved
from panoptic3d.structures.sample import Sample, VoxelTruth


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples of one image size, stacked where their shapes agree and listed where they do not."""

    keys: tuple[str, ...]
    image: UInt8[Tensor, "b 3 h w"]
    cameras: tuple[Camera, ...]
    depth_m: Float32[Tensor, "b h w"]
    semantic_2d: UInt8[Tensor, "b h w"]
    instance_2d: Int32[Tensor, "b h w"]
    truths: tuple[VoxelTruth, ...]  # empty when the samples are 2D only
    world_from_camera: Float64[Tensor, "b 4 4"]  # world z up, the floor at 0; NaN where a data set does not tell
    depth_kinds: tuple[DepthKind, ...] = ()  # one a sample, or none where all are metric; a batch may mix them

    def __len__(self) -> int:
        return len(self.keys)

    def depth_kind(self, number: int) -> DepthKind:
        return self.depth_kinds[number] if self.depth_kinds else "metric"

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        return moved(self, device, non_blocking)

    def pin_memory(self) -> "Batch":
        return map_tensors(self, lambda tensor: tensor.pin_memory())


def collate(samples: Sequence[Sample]) -> Batch:
    sizes = sorted({tuple(sample.image.shape[1:]) for sample in samples})
    if len(sizes) > 1:
        raise InputError(
            f"images of one batch must have one size, these have {sizes}; resize them or use batches of 1."
        )
    truths = tuple(sample.truth for sample in samples if sample.truth is not None)
    if len(truths) not in (0, len(samples)):
        raise InputError("a batch mixes samples with and without voxels; read all of them alike.")
    return Batch(
        keys=tuple(sample.key for sample in samples),
        image=torch.stack([sample.image for sample in samples]),
        cameras=tuple(sample.camera for sample in samples),
        depth_m=torch.stack([sample.depth_m for sample in samples]),
        semantic_2d=torch.stack([sample.semantic_2d for sample in samples]),
        instance_2d=torch.stack([sample.instance_2d for sample in samples]),
        truths=truths,
        world_from_camera=torch.stack([_pose(sample) for sample in samples]),
        depth_kinds=tuple(sample.depth_kind for sample in samples),
    )


def collate_by_size(samples: Sequence[Sample]) -> tuple[Batch, ...]:
    """One batch for each image size, in the order in which the sizes first appear."""
    groups: dict[tuple[int, ...], list[Sample]] = {}
    for sample in samples:
        groups.setdefault(tuple(sample.image.shape), []).append(sample)
    return tuple(collate(group) for group in groups.values())


def _pose(sample: Sample) -> Float64[Tensor, "4 4"]:
    unknown = torch.full((4, 4), torch.nan, dtype=torch.float64)
    return unknown if sample.world_from_camera is None else sample.world_from_camera
