"""A batch as its members and back, so that each member's answer is the same to the bit in any batch."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from panoptic3d.models.slots import Lifted
from panoptic3d.structures.prediction import LevelPrediction
from panoptic3d.structures.sparse_voxels import SparseVoxels


def members_of(lifted: Lifted) -> tuple[Lifted, ...]:
    """Batches of one."""
    rows = zip(
        lifted.voxels.coords.split(lifted.voxels.counts), lifted.features.split(lifted.voxels.counts), strict=True
    )
    return tuple(
        Lifted(
            grids=lifted.grids[member : member + 1],
            voxels=replace(lifted.voxels, coords=_moved(coords, -member), batch_size=1),
            features=features,
            is_in_frustum=lifted.is_in_frustum[member : member + 1],
            queries=lifted.queries[member : member + 1],
        )
        for member, (coords, features) in enumerate(rows)
    )


def batch_of(predictions: Sequence[LevelPrediction]) -> LevelPrediction:
    """One level of a batch from that of its members."""
    return LevelPrediction(
        candidates=_stacked([p.candidates for p in predictions]),
        occupancy_logit=torch.cat([p.occupancy_logit for p in predictions]),
        voxels=_stacked([p.voxels for p in predictions]),
        is_kept=torch.cat([p.is_kept for p in predictions]),
        semantic_logits=_joined([p.semantic_logits for p in predictions]),
        instance_logits=_joined([p.instance_logits for p in predictions]),
        distance_vox=_joined([p.distance_vox for p in predictions]),
    )


def _stacked(sets: list[SparseVoxels]) -> SparseVoxels:
    assert len({(s.shape, s.stride, s.origin) for s in sets}) == 1
    coords = [_moved(s.coords, member) for member, s in enumerate(sets)]
    return replace(sets[0], coords=torch.cat(coords), batch_size=len(sets))


def _moved(coords: Tensor, members: int) -> Tensor:
    return coords + coords.new_tensor([members, 0, 0, 0])


def _joined(rows: list[Tensor | None]) -> Tensor | None:
    given = [r for r in rows if r is not None]
    return torch.cat(given) if len(given) == len(rows) else None
