"""Split a batch into its members and join them again, so that each result is the same to the bit in any batch."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from panoptic3d.models.slots import LiftedT
from panoptic3d.structures.prediction import LevelPrediction, Levels
from panoptic3d.structures.sparse_voxels import SparseVoxels

LevelT = TypeVar("LevelT", bound=LevelPrediction)
CoarseT = TypeVar("CoarseT", bound=LevelPrediction)
FinestT = TypeVar("FinestT", bound=LevelPrediction)


def members_of(lifted: LiftedT) -> tuple[LiftedT, ...]:
    """Batches of one."""
    fine = _parted(lifted.features, lifted.voxels)
    coarse = [_parted(*carried) for carried in lifted.coarse]
    return tuple(
        replace(
            lifted,
            grids=lifted.grids[member : member + 1],
            voxels=voxels,
            features=features,
            is_in_frustum=lifted.is_in_frustum[member : member + 1],
            queries=lifted.queries[member : member + 1],
            coarse=tuple(parts[member] for parts in coarse),
        )
        for member, (features, voxels) in enumerate(fine)
    )


def batch_of(members: Sequence[Levels[CoarseT, FinestT]]) -> Levels[CoarseT, FinestT]:
    """The levels of a batch from those of its members."""
    coarse = tuple(_joined(levels) for levels in zip(*(member.coarse for member in members), strict=True))
    last = [member.last for member in members if member.last is not None]
    return Levels(coarse, _joined(last) if last else None)


def _joined(levels: Sequence[LevelT]) -> LevelT:
    changes: dict[str, Any] = {}
    for name in (f.name for f in fields(levels[0])):
        values = [getattr(level, name) for level in levels]
        changes[name] = _catenated(values) if isinstance(values[0], Tensor) else _stacked(values)
    return replace(levels[0], **changes)


def _catenated(rows: list[Tensor]) -> Tensor:
    if rows[0].dim() == 2:  # columns of queries, of which members have more or fewer
        width = max(r.shape[1] for r in rows)
        rows = [F.pad(r, (0, width - r.shape[1])) for r in rows]
    return torch.cat(rows)


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
