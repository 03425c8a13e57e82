"""A set of voxels of a batch of grids, apart from whatever features they carry."""

from dataclasses import dataclass

import torch
from jaxtyping import Int32
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SparseVoxels:
    """Distinct voxels in the order (batch, i, j, k). Coordinates are in units of `stride` finest voxels: cell c covers
    the finest indices `stride*c .. stride*c + stride-1`. An empty set and empty members of a batch are ordinary.
    """

    coords: Int32[Tensor, "n 4"]  # batch member, i, j, k
    batch_size: int
    shape: tuple[int, int, int]  # of the grid at this stride
    stride: int = 1

    def __len__(self) -> int:
        return self.coords.shape[0]

    @property
    def device(self) -> torch.device:
        return self.coords.device

    @property
    def counts(self) -> list[int]:
        """Voxels of each member of the batch."""
        return torch.bincount(self.coords[:, 0].long(), minlength=self.batch_size).tolist()
