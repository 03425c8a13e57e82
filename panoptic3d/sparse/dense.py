"""Between sparse rows and dense volumes."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.sparse.row_ops import pick, place
from panoptic3d.structures.sparse_voxels import SparseVoxels


def to_dense(features: Float[Tensor, "n c"], voxels: SparseVoxels, fill: float = 0.0) -> Float[Tensor, "b c x y z"]:
    """The box of the set as a volume; cells without a voxel hold `fill`."""
    num_cells = voxels.batch_size * voxels.shape[0] * voxels.shape[1] * voxels.shape[2]
    cells = cell_numbers(voxels)
    if fill == 0:
        rows = place(features, cells, num_cells)
    else:
        rows = features.new_full((num_cells, features.shape[1]), fill).index_copy(0, cells, features)
    return rows.view(voxels.batch_size, *voxels.shape, -1).permute(0, 4, 1, 2, 3)


def from_dense(volume: Float[Tensor, "b c x y z"], voxels: SparseVoxels) -> Float[Tensor, "n c"]:
    """The volume's values at the voxels; the volume fills the box of the set."""
    rows = volume.permute(0, 2, 3, 4, 1).reshape(-1, volume.shape[1])
    return pick(rows, cell_numbers(voxels))


def cell_numbers(voxels: SparseVoxels) -> Int64[Tensor, " n"]:
    """Number of every voxel's cell among those of all boxes of the batch, in C order."""
    member, i, j, k = (voxels.coords.long() - torch.tensor([0, *voxels.origin], device=voxels.device)).unbind(1)
    return ((member * voxels.shape[0] + i) * voxels.shape[1] + j) * voxels.shape[2] + k
