"""A batch as its members and back, so that each member's answer is the same to the bit in any batch."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from panoptic3d.models.slots import Lifted
from panoptic3d.structures.prediction import LevelPrediction
from panoptic3d.structures.sparse_voxels import SparseVoxels


def members_of(lifted: Lifted) -> tuple[Lifted, ...]:
    """Batches of one."""
    fine = _parted(lifted.features, lifted.voxels)
    coarse = [_parted(*carried) for carried in lifted.coarse]
    return tuple(
        Lifted(
            grids=lifted.grids[member : member + 1],
            voxels=voxels,
            features=features,
            is_in_frustum=lifted.is_in_frustum[member : member + 1],
            queries=lifted.queries[member : member + 1],
            coarse=tuple(parts[member] for parts in coarse),
        )
        for member, (features, voxels) in enumerate(fine)
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


def _parted(features: Tensor, voxels: SparseVoxels) -> list[tuple[Tensor, SparseVoxels]]:
    rows = zip(features.split(voxels.counts), voxels.coords.split(voxels.counts), strict=True)
    return [
        (own, replace(voxels, coords=_moved(coords, -member), batch_size=1))
        for member, (own, coords) in enumerate(rows)
    ]


def _stacked(sets: list[SparseVoxels]) -> SparseVoxels:
    assert len({(s.shape, s.stride, s.origin) for s in sets}) == 1
    coords = [_moved(s.coords, member) for member, s in enumerate(sets)]
    return replace(sets[0], coords=torch.cat(coords), batch_size=len(sets))


def _moved(coords: Tensor, members: int) -> Tensor:
    return coords + coords.new_tensor([members, 0, 0, 0])


def _joined(rows: list[Tensor | None]) -> Tensor | None:
    given = [r for r in rows if r is not None]
    if len(given) < len(rows):
        return None
    if given[0].dim() == 2:  # columns of queries, of which members have more or fewer
        width = max(r.shape[1] for r in given)
        given = [F.pad(r, (0, width - r.shape[1])) for r in given]
    return torch.cat(given)
