"""Post-processing of voxel labels: as in PanoRecon (section 5.1), or corrected."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from panoptic3d.geometry.label_fill import Offset, filled_labels, nearest_offsets
from panoptic3d.models.instance_decode.config import InstanceDecodeConfig
from panoptic3d.models.instance_decode.pieces import is_fragment, pieces_of
from panoptic3d.structures.scene import SURFACE_ISO_VOX
from panoptic3d.structures.taxonomy import FLOOR, VOID, WALL, Taxonomy


@dataclass(frozen=True, eq=False)
class Labelled:
    """A panoptic id for each voxel: 0 for none, then stuff in the order of the taxonomy, then things."""

    panoptic_ids: Int64[Tensor, " n"]
    class_of_id: dict[int, int]  # every stuff id, there or not, and every thing


def panoptic_labels(
    coords: Int[Tensor, "n 3"],
    distance_vox: Float[Tensor, " n"],
    instance: Int64[Tensor, " n"],
    semantic: Int64[Tensor, " n"],
    num_kept: int,
    taxonomy: Taxonomy,
    config: InstanceDecodeConfig,
) -> Labelled:
    """Things are the instances 1..num_kept that any voxel has, and stuff overrules them. What is left open is filled last."""
    stuff = stuff_classes(taxonomy, config)
    ids, class_of_id = _things(instance, semantic, num_kept, stuff, taxonomy)
    for number, class_id in enumerate(stuff, start=1):
        ids = torch.where(semantic == class_id, number, ids)
        class_of_id[number] = class_id
    if config.clean == "fragments":
        is_lost = is_fragment(ids, pieces_of(coords, ids), distance_vox < SURFACE_ISO_VOX, config)
        ids = torch.where(is_lost, 0, ids)
    is_open = (distance_vox.abs() <= config.surface_vox) & (ids == 0)
    return Labelled(filled_labels(coords, ids, is_open, _offsets(config.fill_reach_vox, config.fill)), class_of_id)


def stuff_classes(taxonomy: Taxonomy, config: InstanceDecodeConfig) -> tuple[int, ...]:
    return (WALL, FLOOR) if config.stuff == "wall-floor" else taxonomy.stuff_ids


def _things(
    instance: Int64[Tensor, " n"],
    semantic: Int64[Tensor, " n"],
    num_kept: int,
    stuff: tuple[int, ...],
    taxonomy: Taxonomy,
) -> tuple[Int64[Tensor, " n"], dict[int, int]]:
    """Ids after those of stuff, in ascending order of the instances that occur; the class is that of most of its voxels.

    Void and the classes that become stuff have no vote. An instance whose voxels are all of those is no thing: the
    reference fails on such an image.
    """
    num_classes = len(taxonomy)
    instance = torch.where(instance <= num_kept, instance, 0)
    votes = torch.bincount(instance * num_classes + semantic, minlength=(num_kept + 1) * num_classes)
    votes = votes.view(num_kept + 1, num_classes)
    is_there = votes.sum(dim=1) > 0
    votes[:, [VOID, *stuff]] = 0
    is_there &= votes.sum(dim=1) > 0
    is_there[0] = False
    instances = is_there.nonzero()[:, 0]
    first = len(stuff) + 1
    id_of = torch.zeros(num_kept + 1, dtype=torch.int64, device=instance.device)
    id_of[instances] = torch.arange(first, first + len(instances), device=instance.device)
    classes = votes[instances].argmax(dim=1).tolist()
    return id_of[instance], dict(enumerate(classes, start=first))


@lru_cache(maxsize=8)
def _offsets(reach: int, fill: str) -> tuple[Offset, ...]:
    """ "first": -reach .. reach - 1 on every axis, z fastest. "nearest": both sides, by distance, ties in that order."""
    axis = range(-reach, reach)
    return nearest_offsets(reach) if fill == "nearest" else tuple((i, j, k) for i in axis for j in axis for k in axis)
