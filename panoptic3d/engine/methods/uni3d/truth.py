"""Training targets of an image's queries: its segments, in the image and in the volume."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.data.targets import instances_of_maps, lookup, pooled_mask
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.sample import VoxelTruth
from panoptic3d.structures.taxonomy import Taxonomy


@dataclass(frozen=True, eq=False)
class SegmentTruth:
    """Things by ascending id, then stuff by class. Masks and depth are those of the padded image; depth 0 is not measured."""

    thing_ids: tuple[int, ...]  # in the files
    stuff_ids: tuple[int, ...]  # classes
    class_ids: Int64[Tensor, " t"]
    masks: Bool[Tensor, "t h w"]
    depth_m: Float[Tensor, "h w"]

    def __len__(self) -> int:
        return len(self.class_ids)


def segment_truth(
    batch: Batch, member: int, camera: Camera, padded: tuple[int, int], taxonomy: Taxonomy, min_pixels: int
) -> SegmentTruth:
    """Segments of the photo at the input size of the network: `camera` is without padding, `padded` the size of the tensor.
    Labels and depth come from the nearest pixel. Stuff that scores ignore is a target, too.
    """
    size = (camera.height, camera.width)
    semantic, instance, depth_m = (
        nearest(map_[member], size) for map_ in (batch.semantic_2d, batch.instance_2d, batch.depth_m)
    )
    things = instances_of_maps(semantic, instance, taxonomy, min_pixels, None)
    stuff = tuple(c.id for c in taxonomy.classes if c.kind == "stuff" and bool((semantic == c.id).any()))
    masks = torch.cat((things.masks, *((semantic == class_id)[None] for class_id in stuff)))
    border = (0, padded[1] - size[1], 0, padded[0] - size[0])
    return SegmentTruth(
        thing_ids=things.ids,
        stuff_ids=stuff,
        class_ids=torch.tensor((*things.classes, *stuff), dtype=torch.int64, device=masks.device),
        masks=F.pad(masks, border),
        depth_m=F.pad(depth_m, border),
    )


def voxel_members(truth: VoxelTruth, segments: SegmentTruth) -> Bool[Tensor, "t n"]:
    """Which of the listed voxels belong to each segment. One that the volume does not hold has none."""
    rows = [truth.instance == number for number in segments.thing_ids]
    rows += [truth.semantic == class_id for class_id in segments.stuff_ids]
    empty = torch.zeros((0, len(truth.instance)), dtype=torch.bool, device=truth.instance.device)
    return torch.stack(rows) if rows else empty


def inside_segments(
    truth: VoxelTruth, members: Bool[Tensor, "t n"], cells: Int64[Tensor, "m 3"], stride: int
) -> Bool[Tensor, "m t"]:
    """Whether cells of a stride belong to the segments. A coarse cell may belong to several."""
    if stride == 1:
        at = lookup(truth, cells)
        return (members[:, at.clamp(min=0)] & (at >= 0)).t()
    i, j, k = cells.unbind(1)
    columns: Sequence[Tensor] = [pooled_mask(truth, row, stride)[i, j, k] for row in members]
    return torch.stack(columns, dim=1) if columns else members.new_zeros((len(cells), 0))


def nearest(map_: Tensor, size: tuple[int, int]) -> Tensor:
    """Source index floor(i * h / h'), as torch's nearest."""
    if tuple(map_.shape) == size:
        return map_
    rows, columns = (
        torch.arange(wanted, device=map_.device) * length // wanted
        for length, wanted in zip(map_.shape, size, strict=True)
    )
    return map_[rows[:, None], columns]
