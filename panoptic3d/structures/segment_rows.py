"""The segments in the volumes of a scene: their classes and sizes."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int32, UInt8
from torch import Tensor

from panoptic3d.structures.taxonomy import Taxonomy

SURFACE_ISO_VOX = 1.0  # voxels nearer to the surface than this are counted


@dataclass(frozen=True)
class SegmentRow:
    """A thing, or all of one stuff class."""

    name: str
    class_id: int
    instance_id: int  # 0 for stuff
    num_voxels: int


def segment_rows(
    distance_vox: Float[Tensor, "x y z"],
    semantic: UInt8[Tensor, "x y z"],
    instance: Int32[Tensor, "x y z"],
    taxonomy: Taxonomy,
) -> tuple[SegmentRow, ...]:
    """Things by ascending instance id, then stuff by ascending class. The class of a thing is its most frequent one."""
    is_surface = (distance_vox < SURFACE_ISO_VOX).reshape(-1)
    at = torch.from_numpy(np.flatnonzero(is_surface.cpu().numpy()))  # several times faster than torch's own
    classes, ids = (labels.reshape(-1).cpu()[at].long() for labels in (semantic, instance))
    num_classes = len(taxonomy)
    things = []
    found, number = torch.unique(ids[ids > 0], return_inverse=True)
    width = max(num_classes, int(classes.max()) + 1) if len(found) else num_classes
    counts = torch.bincount(number * width + classes[ids > 0], minlength=len(found) * width).view(-1, width)
    for instance_id, of_class in zip(found.tolist(), counts, strict=True):
        class_id = int(of_class[1:num_classes].argmax()) + 1
        things.append(
            SegmentRow(f"{taxonomy[class_id].name}-{instance_id}", class_id, instance_id, int(of_class.sum()))
        )
    stuff_counts = torch.bincount(classes[ids == 0], minlength=num_classes).tolist()
    stuff = [
        SegmentRow(taxonomy[class_id].name, class_id, 0, stuff_counts[class_id])
        for class_id in range(num_classes)
        if taxonomy[class_id].kind == "stuff" and stuff_counts[class_id] > 0
    ]
    return (*things, *stuff)
