"""Connected components of labelled voxels, and which of them are too small to keep."""

import torch
from jaxtyping import Bool, Int, Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from panoptic3d.geometry.voxels import boxed_index
from panoptic3d.models.instance_decode.config import InstanceDecodeConfig


def pieces_of(coords: Int[Tensor, "n 3"], labels: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """A number for each voxel, the same for two of one label that a path of such voxels joins, face to face."""
    cells, (nx, ny, nz) = boxed_index(coords, margin=1)
    row_at = torch.full((nx * ny * nz,), -1, dtype=torch.int32, device=cells.device)
    row_at[cells] = torch.arange(len(cells), dtype=torch.int32, device=cells.device)
    rows, others = [], []
    for stride in (ny * nz, nz, 1):
        other = row_at[cells + stride].long()
        row = ((other >= 0) & (labels[other.clamp(min=0)] == labels)).nonzero()[:, 0]
        rows.append(row)
        others.append(other[row])
    row, other = torch.cat(rows).cpu().numpy(), torch.cat(others).cpu().numpy()
    graph = coo_matrix((torch.ones(len(row), dtype=torch.bool).numpy(), (row, other)), shape=(len(coords),) * 2)
    _, piece = connected_components(graph, directed=False)
    return torch.from_numpy(piece).long().to(labels.device)


def is_fragment(
    labels: Int64[Tensor, " n"],
    piece: Int64[Tensor, " n"],
    is_surface: Bool[Tensor, " n"],
    config: InstanceDecodeConfig,
) -> Bool[Tensor, " n"]:
    """Voxels of pieces whose surface is a small share of their label's largest piece, or which are small in themselves."""
    if not len(labels):
        return torch.zeros(0, dtype=torch.bool, device=labels.device)
    size = torch.bincount(piece, is_surface.double())[piece]
    largest = size.new_zeros(int(labels.max()) + 1).scatter_reduce_(0, labels, size, "amax")[labels]
    return (size < config.min_piece_vox) | (size < config.min_piece_share * largest)


def is_island(
    coords: Int[Tensor, "n 3"],
    is_surface: Bool[Tensor, " n"],
    config: InstanceDecodeConfig,
) -> Bool[Tensor, " n"]:
    """Voxels around a speck of surface that hangs in the air, whatever its label."""
    if not len(coords):
        return is_surface.clone()
    piece = pieces_of(coords, torch.zeros(len(coords), dtype=torch.int64, device=coords.device))
    return torch.bincount(piece, is_surface.double())[piece] < config.min_island_vox
