"""3^3 convolution of full grids on a CPU with a quarter of the multiplications, for inference.

Winograd's F(4, 3) along x and y (Lavin and Gray, 2016): of 6x6 lines of cells along z, 36 combinations are convolved along z
by three matrix products each, and 4x4 lines come of them. Along z it would not pay: fewer products, but as many more sums.
Rounding is about six times that of a direct convolution (1e-6 of the outputs' size in the root mean square).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from panoptic3d.sparse.runtime.parallel import over_blocks
from panoptic3d.sparse.torch.winograd_matrices import from_cells, from_taps, to_cells
from panoptic3d.sparse.weights import from_dense_weight

_TILE, _POINTS = 4, 6  # outputs and inputs of a tile along an axis


class Frame(NamedTuple):
    """A grid of one member, channels last, in a frame of zeros: one cell in front, and behind up to whole tiles and one."""

    cells: Float[Tensor, "x2 y2 z2 c"]
    shape: tuple[int, int, int]

    @property
    def inside(self) -> Float[Tensor, "x y z c"]:
        nx, ny, nz = self.shape
        return self.cells[1 : nx + 1, 1 : ny + 1, 1 : nz + 1]


class Convolved(NamedTuple):
    """A grid, channels last, with mean and (biased) variance of each channel."""

    cells: Float[Tensor, "x y z c"]
    mean: Float64[Tensor, " c"]
    variance: Float64[Tensor, " c"]


def empty_frame(shape: tuple[int, int, int], num_channels: int) -> Frame:
    nx, ny, nz = shape
    up_to_tiles = [-(-n // _TILE) * _TILE + 2 for n in (nx, ny)]
    return Frame(torch.zeros(*up_to_tiles, nz + 2, num_channels), shape)


def framed(volume: Float[Tensor, "c x y z"]) -> Frame:
    nx, ny, nz = volume.shape[1:]
    frame = empty_frame((nx, ny, nz), volume.shape[0])
    frame.inside.copy_(volume.permute(1, 2, 3, 0))
    return frame


def room_for(shape: tuple[int, int, int], num_channels: int) -> Float[Tensor, "x y2 z c"]:
    """Where a grid of this shape may be convolved to: whole tiles along y."""
    nx, ny, nz = shape
    return torch.empty(nx, -(-ny // _TILE) * _TILE, nz, num_channels)


def convolved(frame: Frame, weight: Float[Tensor, "cout cin 3 3 3"], out: Float[Tensor, "x y2 z cout"]) -> Convolved:
    """`conv3d(padding=1)` of the grid in the frame, in the room given (fresh memory would cost as much as the norm)."""
    nx, ny = frame.shape[:2]
    taps = from_taps(from_dense_weight(weight), _TILE)

    def work(first: int) -> tuple[int, Tensor, Tensor]:
        last = min(first + _TILE, nx)
        for y, lines in _tiles(frame, taps, first):
            out[first:last, y : y + _TILE].copy_(lines[: last - first])
        return _moments(out[first:last, :ny])

    mean, variance = _joined(over_blocks(work, range(0, nx, _TILE), out.device))
    return Convolved(out[:, :ny], mean, variance)


def over_planes(work: Callable[[int], None], frame: Frame) -> None:
    """`work` for every x of a grid, over threads."""
    over_blocks(work, range(frame.shape[0]), frame.cells.device)


def _tiles(frame: Frame, taps: Float[Tensor, "3 p cin cout"], first: int) -> Iterator[tuple[int, Tensor]]:
    """First y and the 4x4 lines of every tile with this first x. The lines stay as they are until the next tile only."""
    cells = frame.cells
    step_x, step_y, channels = cells.stride(0), cells.stride(1), cells.shape[3]
    num_cells, num_points = cells.shape[2], _POINTS * _POINTS
    num_out, num_made = taps.shape[3], cells.shape[2] - 2
    gathered, points = cells.new_empty(num_points, step_y), cells.new_empty(num_points, step_y)
    products = cells.new_empty(num_points, num_made, num_out)
    lines = cells.new_empty(_TILE * _TILE, num_made * num_out)
    combine, separate = from_cells(_TILE, cells), to_cells(_TILE, cells)
    along_z = points.view(num_points, num_cells, channels)
    for y in range(0, cells.shape[1] - 2, _TILE):
        corner = cells.storage_offset() + first * step_x + y * step_y
        shape = (_POINTS, _POINTS, step_y)
        gathered.view(shape).copy_(cells.as_strided(shape, (step_x, step_y, 1), corner))
        torch.mm(combine, gathered, out=points)
        torch.bmm(along_z[:, :num_made], taps[0], out=products)
        products.baddbmm_(along_z[:, 1:-1], taps[1])
        products.baddbmm_(along_z[:, 2:], taps[2])
        torch.mm(separate, products.view(num_points, -1), out=lines)
        yield y, lines.view(_TILE, _TILE, num_made, num_out)


def _moments(cells: Float[Tensor, "x y z c"]) -> tuple[int, Float64[Tensor, " c"], Float64[Tensor, " c"]]:
    """Number of cells, sum, and sum of squares about the mean, of each channel."""
    rows = cells.reshape(-1, cells.shape[3])
    total = rows.sum(dim=0)
    squares = (rows - total / len(rows)).square_().sum(dim=0)
    return len(rows), total.double(), squares.double()


def _joined(
    moments: list[tuple[int, Float64[Tensor, " c"], Float64[Tensor, " c"]]],
) -> tuple[Float64[Tensor, " c"], Float64[Tensor, " c"]]:
    """Mean and biased variance of all parts together, in float64 and in their order."""
    count = sum(n for n, _, _ in moments)
    mean = torch.stack([total for _, total, _ in moments]).sum(0) / count
    squares = torch.stack([about + n * (total / n - mean).square() for n, total, about in moments]).sum(0)
    return mean, squares / count
