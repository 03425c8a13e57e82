"""Making voxel sets: from coordinates and masks, coarser, finer, joined and pruned. Nothing here touches features."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Int, Int64
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.voxel_table import Box, VoxelTable, row_like
from panoptic3d.structures.sparse_voxels import SparseVoxels

Bounds = tuple[tuple[int, int, int], tuple[int, int, int]]  # origin, shape

_MARKABLE_CELLS = 1 << 26  # beyond, sorting is cheaper than a byte per cell


def voxel_set(
    coords: Int[Tensor, "n 4"],
    batch_size: int,
    shape: tuple[int, int, int],
    stride: int = 1,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> SparseVoxels:
    """The distinct voxels among `coords` (batch, i, j, k), in order. A coordinate outside of the box is an error."""
    box = _box(batch_size, shape, origin)
    _refuse_outside(coords, box)
    return _from_numbers(box, distinct(box, box.number(coords)), stride)


def voxels_of_mask(mask: Bool[Tensor, "b x y z"], stride: int = 1) -> SparseVoxels:
    """The cells where a batch of dense masks holds."""
    nx, ny, nz = mask.shape[1:]
    return SparseVoxels(mask.nonzero().int(), mask.shape[0], (nx, ny, nz), stride)


def all_voxels(batch_size: int, shape: tuple[int, int, int], stride: int = 1, device: str = "cpu") -> SparseVoxels:
    """Every cell of the grids."""
    return voxels_of_mask(torch.ones((batch_size, *shape), dtype=torch.bool, device=device), stride)


def coarsened(voxels: SparseVoxels, factor: int) -> SparseVoxels:
    """The cells of `factor` times the stride that hold a voxel: `floor(c / factor)`, MinkowskiEngine's strided set."""
    if factor == 1:
        return voxels
    coords = torch.div(voxels.coords, row_like(voxels.coords, 1, factor), rounding_mode="floor")
    origin, shape = _divided(voxels, factor)
    box = _box(voxels.batch_size, shape, origin)
    return _from_numbers(box, distinct(box, box.number(coords)), voxels.stride * factor)


def reached_coarse(voxels: SparseVoxels, kernel: Kernel) -> SparseVoxels:
    """Every coarse cell to which a strided convolution has something to add: the whole support of a dense one."""
    low, high = _span(voxels)
    reach = kernel.dilation * (kernel.size - 1)
    origin = _three([-((reach - kernel.padding - a) // kernel.stride) for a in low])
    last = [(b - 1 + kernel.padding) // kernel.stride for b in high]
    box = _box(voxels.batch_size, _three([b + 1 - a for a, b in zip(origin, last, strict=True)]), origin)
    numbers = [_coarse_numbers(voxels, kernel, tap, box) for tap in _taps(kernel)]
    return _from_numbers(box, distinct(box, torch.cat(numbers)), voxels.stride * kernel.stride)


def generated(voxels: SparseVoxels, kernel: Kernel, bounds: Bounds | None = None) -> SparseVoxels:
    """Every fine cell to which a transposed convolution adds: the voxels that it makes. `bounds` (origin and shape of the
    finer grid) drops what lies outside; without it the box grows with the kernel.
    """
    if voxels.stride % kernel.stride:
        raise InputError(
            f"voxels of stride {voxels.stride} cannot be refined {kernel.stride}-fold; use a stride that divides it."
        )
    low, high = _span(voxels)
    origin = _three([kernel.stride * a - kernel.padding for a in low])
    reach = kernel.dilation * (kernel.size - 1) + 1
    shape = _three([kernel.stride * (b - 1) - kernel.padding + reach - a for a, b in zip(origin, high, strict=True)])
    box = _box(voxels.batch_size, shape, origin)
    corner = _at_origin(voxels, kernel.stride, -kernel.padding)
    base = box.number(corner)
    steps = box.steps[1:]
    deltas = [sum(kernel.dilation * t * s for t, s in zip(tap, steps, strict=True)) for tap in _taps(kernel)]
    numbers = torch.cat([base + delta for delta in deltas])
    fine = _from_numbers(box, distinct(box, numbers), voxels.stride // kernel.stride)
    return fine if bounds is None else clipped(fine, bounds)


def clipped(voxels: SparseVoxels, bounds: Bounds) -> SparseVoxels:
    """What lies in the box of the given origin and shape, which becomes the box of the set."""
    origin, shape = bounds
    low = voxels.coords.new_tensor(origin)
    high = low + voxels.coords.new_tensor(shape)
    inside = ((voxels.coords[:, 1:] >= low) & (voxels.coords[:, 1:] < high)).all(1)
    return replace(voxels, coords=voxels.coords[inside], origin=origin, shape=shape)


def mirrored(voxels: SparseVoxels, axes: Sequence[int]) -> tuple[SparseVoxels, Int64[Tensor, " n"]]:
    """The set seen from the other side along the given axes (0 is i), and the row of each of its voxels in the first set."""
    coords = voxels.coords.clone()
    for axis in axes:
        coords[:, 1 + axis] = 2 * voxels.origin[axis] + voxels.shape[axis] - 1 - coords[:, 1 + axis]
    box = _box(voxels.batch_size, voxels.shape, voxels.origin)
    rows = box.number(coords).argsort()
    return replace(voxels, coords=coords[rows]), rows


def pruned(voxels: SparseVoxels, keep: Bool[Tensor, " n"]) -> SparseVoxels:
    """The voxels where `keep` holds; features follow by `features[keep]`."""
    return replace(voxels, coords=voxels.coords[keep])


def union(first: SparseVoxels, *others: SparseVoxels) -> SparseVoxels:
    """The voxels of any of the sets, in a box that holds all their boxes."""
    sets = (first, *others)
    _refuse_foreign(*sets)
    box = _common_box(sets)
    numbers = torch.cat([box.number(s.coords) for s in sets])
    return _from_numbers(box, distinct(box, numbers), first.stride)


def intersection(first: SparseVoxels, second: SparseVoxels) -> SparseVoxels:
    """The voxels that are in both sets, in the box of the first."""
    return pruned(first, rows_in(second, first) >= 0)


def rows_in(voxels: SparseVoxels, wanted: SparseVoxels) -> Int64[Tensor, " m"]:
    """For every wanted voxel its row in `voxels`, or -1."""
    _refuse_foreign(voxels, wanted)
    return rows_of_cells(voxels, wanted.coords)


def rows_of_cells(voxels: SparseVoxels, cells: Int[Tensor, "m 4"]) -> Int64[Tensor, " m"]:
    """For every cell (batch, i, j, k) its row in `voxels`, or -1."""
    box = Box.around(voxels.coords, cells.int())
    table = VoxelTable.build(voxels.coords, box, max_bytes=_MARKABLE_CELLS)
    return table.rows(box.number(cells)).long()


def distinct(box: Box, numbers: Int64[Tensor, " n"]) -> Int64[Tensor, " m"]:
    """Ascending and without repetition: by marking cells while that is cheap, by sorting otherwise."""
    if len(numbers) < 2 or bool((numbers[1:] > numbers[:-1]).all()):
        return numbers
    if box.num_cells > min(_MARKABLE_CELLS, 64 * len(numbers) + 4096):
        return torch.unique(numbers)
    is_marked = torch.zeros(box.num_cells, dtype=torch.bool, device=numbers.device)
    is_marked[numbers] = True
    return is_marked.nonzero()[:, 0]


def _coarse_numbers(voxels: SparseVoxels, kernel: Kernel, tap: Sequence[int], box: Box) -> Int64[Tensor, " m"]:
    """Numbers of the coarse cells that read the voxels through one tap."""
    shift = voxels.coords.new_tensor([kernel.padding - kernel.dilation * t for t in tap])
    moved = voxels.coords[:, 1:] + shift
    exact = (moved.remainder(kernel.stride) == 0).all(1)
    coarse = torch.div(moved[exact], kernel.stride, rounding_mode="floor")
    return box.number(torch.cat((voxels.coords[exact, :1], coarse), dim=1))


def _taps(kernel: Kernel) -> list[tuple[int, int, int]]:
    axis = range(kernel.size)
    return [(a, b, c) for a in axis for b in axis for c in axis]


def _at_origin(voxels: SparseVoxels, factor: int, shift: int) -> Int[Tensor, "n 4"]:
    return voxels.coords * row_like(voxels.coords, 1, factor) + row_like(voxels.coords, 0, shift)


def _span(voxels: SparseVoxels) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    return voxels.origin, _three([a + n for a, n in zip(voxels.origin, voxels.shape, strict=True)])


def _divided(voxels: SparseVoxels, factor: int) -> Bounds:
    low, high = _span(voxels)
    origin = _three([a // factor for a in low])
    return origin, _three([-(-b // factor) - a for a, b in zip(origin, high, strict=True)])


def _common_box(sets: Sequence[SparseVoxels]) -> Box:
    spans = [_span(s) for s in sets]
    low = [min(span[0][axis] for span in spans) for axis in range(3)]
    high = [max(span[1][axis] for span in spans) for axis in range(3)]
    return _box(sets[0].batch_size, _three([b - a for a, b in zip(low, high, strict=True)]), _three(low))


def _box(batch_size: int, shape: tuple[int, int, int], origin: tuple[int, int, int]) -> Box:
    high = tuple(a + n for a, n in zip(origin, shape, strict=True))
    return Box((0, *origin), (batch_size, high[0], high[1], high[2]))


def _from_numbers(box: Box, numbers: Int64[Tensor, " n"], stride: int) -> SparseVoxels:
    return SparseVoxels(box.coords(numbers), box.high[0], box.sizes[1:], stride, box.low[1:])


def _refuse_outside(coords: Int[Tensor, "n 4"], box: Box) -> None:
    low, high = coords.new_tensor(box.low), coords.new_tensor(box.high)
    outside = ((coords < low) | (coords >= high)).any(1)
    if bool(outside.any()):
        seen = coords[outside][0].tolist()
        raise InputError(
            f"{int(outside.sum())} of {len(coords)} voxels lie outside of the grid, the first is (batch, i, j, k) = {seen}; "
            f"give a batch size and a box that hold them, or clip them first (now {box.low} to {box.high}, exclusive)."
        )


def _refuse_foreign(*sets: SparseVoxels) -> None:
    if len({(s.stride, s.batch_size) for s in sets}) > 1:
        seen = [(s.stride, s.batch_size) for s in sets]
        raise InputError(f"these voxel sets differ in stride or batch size ({seen}); bring them to one level first.")


def _three(values: Sequence[int]) -> tuple[int, int, int]:
    a, b, c = values
    return a, b, c
