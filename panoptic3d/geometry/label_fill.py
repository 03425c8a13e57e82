"""Labels for voxels that have none, from labelled ones nearby."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Bool, Int, Int64
from torch import Tensor

from panoptic3d.geometry.voxels import boxed_index

Offset = tuple[int, int, int]


def filled_labels(
    coords: Int[Tensor, "n 3"], ids: Int64[Tensor, " n"], is_open: Bool[Tensor, " n"], offsets: Sequence[Offset]
) -> Int64[Tensor, " n"]:
    """Open voxels take the label of the first labelled neighbour in the order of the offsets, from before any filling."""
    reach = max((abs(step) for offset in offsets for step in offset), default=0)
    cells, (nx, ny, nz) = boxed_index(coords, margin=reach)
    volume = torch.zeros(nx * ny * nz, dtype=torch.int16 if _fits(ids) else torch.int32, device=ids.device)
    volume[cells] = ids.to(volume.dtype)
    filled = ids.clone()
    rows = is_open.nonzero()[:, 0]
    rows = rows[_is_near(volume.view(nx, ny, nz) > 0, reach).view(-1)[cells[rows]]]
    cells, steps = cells[rows], [(i * ny + j) * nz + k for i, j, k in offsets]
    if ids.device.type != "cpu":  # looks at all offsets of all rows: nothing to wait for
        label = torch.zeros_like(cells, dtype=volume.dtype)
        for step in steps:
            label = torch.where(label > 0, label, volume[cells + step])
        filled[rows] = torch.where(label > 0, label.long(), filled[rows])
        return filled
    for step in steps:
        label = volume[cells + step]
        is_found = label > 0
        filled[rows[is_found]] = label[is_found].long()
        rows, cells = rows[~is_found], cells[~is_found]
    return filled


@lru_cache(maxsize=8)
def nearest_offsets(reach: int) -> tuple[Offset, ...]:
    """All offsets of a cube by distance, ties by i, j, k."""
    axis = range(-reach, reach + 1)
    offsets = [(i, j, k) for i in axis for j in axis for k in axis]
    return tuple(sorted(offsets, key=lambda o: o[0] ** 2 + o[1] ** 2 + o[2] ** 2))


def _fits(ids: Tensor) -> bool:
    return not len(ids) or int(ids.max()) <= torch.iinfo(torch.int16).max


def _is_near(is_labelled: Bool[Tensor, "x y z"], reach: int) -> Bool[Tensor, "x y z"]:
    """Cells with a labelled one in the cube around them: the others would look at all offsets in vain. One axis at a time."""
    for axis in range(3):
        size, wide = is_labelled.shape[axis], is_labelled.clone()
        for step in range(1, min(reach, size - 1) + 1):
            wide.narrow(axis, step, size - step).logical_or_(is_labelled.narrow(axis, 0, size - step))
            wide.narrow(axis, 0, size - step).logical_or_(is_labelled.narrow(axis, step, size - step))
        is_labelled = wide
    return is_labelled
