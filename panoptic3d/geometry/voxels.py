"""Points, grid indices and volumes."""

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor


def nearest_voxels(
    index: Float[Tensor, "*n 3"], shape: tuple[int, int, int]
) -> tuple[Int64[Tensor, "*n 3"], Bool[Tensor, "*n"]]:
    """The grid point nearest to each continuous index, and whether it lies in the grid (others are clamped into it).

    Halves are rounded up, so that the answer does not depend on whether a neighbour is even.
    """
    nearest = torch.nan_to_num(index + 0.5, nan=-1.0).floor().long()
    limit = torch.tensor(shape, device=index.device) - 1
    is_inside = ((nearest >= 0) & (nearest <= limit)).all(dim=-1)
    return nearest.clamp(min=0).minimum(limit), is_inside


def linear_index(coords: Int[Tensor, "*n 3"], shape: tuple[int, int, int]) -> Int64[Tensor, "*n"]:
    """Position in C order."""
    i, j, k = coords.long().unbind(-1)
    return (i * shape[1] + j) * shape[2] + k


def boxed_index(coords: Int[Tensor, "n 3"], margin: int) -> tuple[Int64[Tensor, " n"], tuple[int, int, int]]:
    """Positions in the smallest box around the coordinates with a margin on all sides, and the size of that box: what is
    looked up in a volume is looked up faster in a small one.
    """
    if not len(coords):
        return coords.new_zeros(0, dtype=torch.int64), (1, 1, 1)
    low = coords.amin(dim=0) - margin
    nx, ny, nz = (coords.amax(dim=0) - low + 1 + margin).tolist()
    return linear_index(coords - low, (nx, ny, nz)), (nx, ny, nz)


def trilinear(volume: Float[Tensor, "x y z"], index: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """The volume at continuous grid indices; outside of the grid its border value continues."""
    limit = index.new_tensor(volume.shape) - 1
    clamped = index.clamp(min=0).minimum(limit)
    low = clamped.floor().long().minimum((limit - 1).clamp(min=0).long())
    fraction = clamped - low
    total = index.new_zeros(index.shape[0])
    for corner in range(8):
        offset = torch.tensor([corner >> 2 & 1, corner >> 1 & 1, corner & 1], device=index.device)
        at = (low + offset).minimum(limit.long())
        share = torch.where(offset.bool(), fraction, 1 - fraction).prod(dim=1)
        total = total + share * volume[at[:, 0], at[:, 1], at[:, 2]]
    return total
