"""Features over unions, intersections and prunings of voxel sets."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.sparse import voxels as sets
from panoptic3d.sparse.row_ops import pick, pick_found, place
from panoptic3d.structures.sparse_voxels import SparseVoxels

Carried = tuple[Tensor, SparseVoxels]  # features and where they sit


def prune(
    features: Float[Tensor, "n c"], voxels: SparseVoxels, keep: Bool[Tensor, " n"]
) -> tuple[Float[Tensor, "m c"], SparseVoxels]:
    """Features and voxels where `keep` holds."""
    return pick(features, keep.nonzero()[:, 0]), sets.pruned(voxels, keep)


def join(parts: Sequence[Carried], how: Literal["sum", "concat"]) -> Carried:
    """Features over the union of all sets, zeros where a part is absent: added up, or side by side in the given order."""
    if not parts:
        raise InputError("there is nothing to join; give at least one pair of features and voxels.")
    together = sets.union(*(voxels for _, voxels in parts))
    spread = [place(features, sets.rows_in(together, voxels), len(together)) for features, voxels in parts]
    if how == "concat":
        return torch.cat(spread, dim=1), together
    total = spread[0]
    for features in spread[1:]:
        total = total + features
    return total, together


def meet(first: Carried, second: Carried) -> tuple[Tensor, Tensor, SparseVoxels]:
    """Features of both over the voxels that both have."""
    common = sets.intersection(first[1], second[1])
    ours, theirs = (pick(features, sets.rows_in(voxels, common)) for features, voxels in (first, second))
    return ours, theirs, common


def moved_onto(features: Float[Tensor, "n c"], voxels: SparseVoxels, wanted: SparseVoxels) -> Float[Tensor, "m c"]:
    """The features on another set of the same level, zeros where the first has no voxel."""
    return pick_found(features, sets.rows_in(voxels, wanted))
