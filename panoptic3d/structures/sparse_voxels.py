"""A set of voxels of a batch of grids, apart from whatever features they carry."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Int32
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SparseVoxels:
    """Distinct voxels in the order (batch, i, j, k). Coordinates are in units of `stride` finest voxels: cell c covers
    the finest indices `stride*c .. stride*c + stride-1`. An empty set and empty members of a batch are ordinary.

    Every coordinate lies in the box that starts at `origin` and has `shape` cells. `panoptic3d.sparse.voxel_set` sorts
    and checks; whoever constructs this by hand promises both.
    """

    coords: Int32[Tensor, "n 4"]  # batch member, i, j, k
    batch_size: int
    shape: tuple[int, int, int]  # of the grid at this stride
    stride: int = 1
    origin: tuple[int, int, int] = (0, 0, 0)  # negative where a kernel reached over the border

    def __len__(self) -> int:
        return self.coords.shape[0]

    @property
    def device(self) -> torch.device:
        return self.coords.device

    @cached_property
    def counts(self) -> list[int]:
        """Number of voxels of each member of the batch."""
        if self.batch_size == 1:
            return [len(self)]  # without waiting for the device
        members = torch.arange(self.batch_size, dtype=self.coords.dtype, device=self.device)
        return (self.coords[:, :1] == members).sum(dim=0).tolist()

    def rows_of(self, member: int) -> Bool[Tensor, " n"]:
        """Mask of the rows that belong to one member of the batch."""
        return self.coords[:, 0] == member

    def member(self, member: int) -> "SparseVoxels":
        """The voxels of one member, as a batch of it alone."""
        coords = self.coords[self.rows_of(member)].clone()
        coords[:, 0] = 0
        return replace(self, coords=coords, batch_size=1)

    @property
    def occupancy(self) -> float:
        """Share of the batch's cells that are in the set."""
        num_cells = self.batch_size * self.shape[0] * self.shape[1] * self.shape[2]
        return len(self) / num_cells if num_cells else 0.0
