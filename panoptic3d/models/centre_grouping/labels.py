"""From classes and offsets of surface voxels to panoptic ids, class * 1000 + number (section 9.3)."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.geometry.label_fill import Offset, filled_labels, nearest_offsets
from panoptic3d.models.centre_grouping.config import CentreGroupingConfig
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.taxonomy import VOID, Taxonomy

LABEL_DIVISOR = 1000


@dataclass(frozen=True, eq=False)
class Centres:
    """Centres of the visible things, (u, v) in pixels of the depth map, in the order of the image's instances."""

    pixels: Float[Tensor, "n 2"]
    class_ids: Int64[Tensor, " n"]
    scores: Float[Tensor, " n"]

    @classmethod
    def of(cls, instances: Instances2D) -> "Centres":
        """Their own centres, or those of mass of their masks."""
        found = instances.confident
        pixels = found.centres_px
        if pixels is None:
            weight = found.masks / found.masks.sum(dim=(1, 2), keepdim=True).clamp(min=1e-6)
            height, width = weight.shape[1:]
            v, u = (torch.arange(n, dtype=weight.dtype, device=weight.device) for n in (height, width))
            pixels = torch.stack(((weight.sum(dim=1) * u).sum(dim=1), (weight.sum(dim=2) * v).sum(dim=1)), dim=1)
        return cls(pixels, found.class_ids, found.scores)


def panoptic_ids(
    pointed_at: Float[Tensor, "n 2"], semantic: Int64[Tensor, " n"], centres: Centres, taxonomy: Taxonomy
) -> Int64[Tensor, " n"]:
    """A thing's voxel goes to the centre of its class that is nearest to where it points; without any it has no id.

    The number of a thing is the place of its centre among those of its class.
    """
    ids = torch.zeros_like(semantic)
    for class_id in torch.unique(semantic).tolist():
        rows = (semantic == class_id).nonzero()[:, 0]
        if taxonomy.is_thing(class_id):
            of_class = centres.pixels[centres.class_ids == class_id].to(pointed_at.dtype)
            if len(of_class):
                apart = (pointed_at[rows][:, None] - of_class[None]).square().sum(dim=2)
                ids[rows] = class_id * LABEL_DIVISOR + 1 + apart.argmin(dim=1)
        elif class_id != VOID:
            ids[rows] = class_id * LABEL_DIVISOR
    return ids


def without_small(ids: Int64[Tensor, " n"], taxonomy: Taxonomy, config: CentreGroupingConfig) -> Int64[Tensor, " n"]:
    """Ids of too few voxels go."""
    present, inverse, counts = ids.unique(return_inverse=True, return_counts=True)
    is_stuff = torch.tensor(
        [taxonomy[i // LABEL_DIVISOR].kind == "stuff" for i in present.tolist()], device=ids.device, dtype=torch.bool
    )
    is_small = (counts < config.min_segment_vox) | (is_stuff & (counts < config.min_stuff_vox))
    return torch.where(is_small, 0, present)[inverse]


def filled(coords: Int64[Tensor, "n 3"], ids: Int64[Tensor, " n"], config: CentreGroupingConfig) -> Int64[Tensor, " n"]:
    """Surface voxels without an id take a neighbour's."""
    reach = config.fill_reach_vox
    offsets = nearest_offsets(reach) if config.fill == "nearest" else _released_offsets(reach)
    return filled_labels(coords, ids, ids == 0, offsets)


@lru_cache(maxsize=8)
def _released_offsets(reach: int) -> tuple[Offset, ...]:
    """0, -1, 1, -2, 2, -3 on every axis of the released order, in which x and y run against the camera's; z fastest."""
    axis = sorted(range(-reach, reach), key=lambda step: (abs(step), step))
    return tuple((-i, -j, k) for i in axis for j in axis for k in axis)
