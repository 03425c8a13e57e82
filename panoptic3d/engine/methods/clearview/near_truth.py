"""The ground truth of a batch near surfaces. Voxels farther away are all alike for the loss, and are most of the list."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.engine.methods.clearview.targets import BAND_VOX, band_cells
from panoptic3d.sparse.voxel_table import Box, VoxelTable
from panoptic3d.structures.sample import VoxelTruth
from panoptic3d.structures.sparse_voxels import SparseVoxels

_TABLE_BYTES = 1 << 27  # eight grids of 256^3; beyond, the list is searched


@dataclass(frozen=True, eq=False)
class FineTruth:
    """The truth at some of the finest voxels."""

    distance_vox: Float[Tensor, " n"]
    semantic: Int64[Tensor, " n"]
    instance: Int64[Tensor, " n"]


def near_surfaces(truth: VoxelTruth, reach_vox: float) -> VoxelTruth:
    """Without the voxels that are at least so far from a surface and carry no label."""
    kept = (truth.distance_vox.abs() < reach_vox) | (truth.semantic > 0) | (truth.instance > 0)
    return replace(
        truth,
        linear_index=truth.linear_index[kept],
        distance_vox=truth.distance_vox[kept],
        semantic=truth.semantic[kept],
        instance=truth.instance[kept],
    )


@dataclass(frozen=True, eq=False)
class TruthTable:
    """The truths of a batch behind one table, so that a voxel is looked up once, whichever sample it is of."""

    table: VoxelTable
    distance_vox: Float[Tensor, " n"]
    semantic: Int64[Tensor, " n"]
    instance: Int64[Tensor, " n"]
    fill_vox: Float[Tensor, " b"]
    coarse: dict[int, Bool[Tensor, "b x y z"]]  # by stride: the cells that hold a voxel of the band

    @classmethod
    def of(cls, truths: Sequence[VoxelTruth]) -> "TruthTable":
        box = Box((0, 0, 0, 0), (len(truths), *truths[0].grid.shape))
        numbers = torch.cat([truth.linear_index.long() + n * box.steps[0] for n, truth in enumerate(truths)])
        fills = [truth.fill_distance_vox for truth in truths]
        return cls(
            table=VoxelTable.of_numbers(numbers, box, _TABLE_BYTES),
            distance_vox=torch.cat([truth.distance_vox.abs() for truth in truths]),
            semantic=torch.cat([truth.semantic for truth in truths]).long(),
            instance=torch.cat([truth.instance for truth in truths]).long(),
            fill_vox=torch.tensor(fills, device=numbers.device, dtype=torch.float32),
            coarse={stride: torch.stack([band_cells(truth, stride) for truth in truths]) for stride in (2, 4)},
        )

    def rows(self, voxels: SparseVoxels) -> Int64[Tensor, " n"]:
        """Row of each finest voxel in the ground truth; -1 for voxels that are not listed."""
        return self.table.rows(self.table.box.number(voxels.coords)).long()

    def is_band(self, voxels: SparseVoxels) -> Bool[Tensor, " n"]:
        """Whether a cell of any stride holds a voxel of the band."""
        if voxels.stride > 1:
            member, i, j, k = voxels.coords.long().unbind(dim=1)
            return self.coarse[voxels.stride][member, i, j, k]
        rows = self.rows(voxels)
        return (rows >= 0) & (_with_last(self.distance_vox, torch.inf)[rows] < BAND_VOX)

    def at(self, voxels: SparseVoxels, truncation_vox: float) -> FineTruth:
        """Ground truth at finest voxels. An unlisted voxel has no class, no thing, and the distance of far voxels."""
        rows = self.rows(voxels)
        distance = _with_last(self.distance_vox, 0.0)[rows]
        distance = torch.where(rows >= 0, distance, self.fill_vox[voxels.coords[:, 0].long()])
        return FineTruth(
            distance.clamp(max=truncation_vox), _with_last(self.semantic, 0)[rows], _with_last(self.instance, 0)[rows]
        )


def _with_last(values: Tensor, last: float | int) -> Tensor:
    """So that row -1 reads `last`."""
    return torch.cat((values, values.new_tensor([last])))
