"""A dense head for inference on a CPU: the same numbers as `DenseTail`, but for rounding, in half the time.

Convolutions are Winograd's, norms are applied where their result is read next, and the last convolution is computed for
the cells that are asked for alone.
"""

from functools import partial

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from panoptic3d.models.frustum_unet.blocks import DenseBlock, DenseTail
from panoptic3d.sparse.runtime.parallel import over_blocks, side_by_side
from panoptic3d.sparse.torch.dense_winograd import (
    Convolved,
    Frame,
    convolved,
    empty_frame,
    framed,
    over_planes,
    room_for,
)
from panoptic3d.structures.sparse_voxels import SparseVoxels

_EPS = 1e-5  # of `F.instance_norm`
_ROWS_PER_PRODUCT = 512
_LEAST_CELLS = 16**3


def pays(volume: Float[Tensor, "b c x y z"], tail: DenseTail) -> bool:
    """Whether no gradient is wanted, and the work is float32 on a CPU and not tiny."""
    needs_gradient = torch.is_grad_enabled() and (
        volume.requires_grad or any(parameter.requires_grad for parameter in tail.parameters())
    )
    is_plain = volume.device.type == "cpu" and volume.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return is_plain and not needs_gradient and volume[0, 0].numel() >= _LEAST_CELLS


@torch.no_grad()
def rows_of_tails(
    tails: tuple[DenseTail, ...], volume: Float[Tensor, "b c x y z"], asked: SparseVoxels
) -> tuple[Float[Tensor, "n cout"], ...]:
    """Outputs of each head at the given cells; the heads share the padded volume."""
    rows: list[list[Tensor]] = []
    for grid, coords in zip(volume, asked.coords[:, 1:].long().split(asked.counts), strict=True):
        frame = framed(grid)
        rows.append(side_by_side([partial(_rows_of_tail, tail, frame, coords) for tail in tails], volume.device))
    return tuple(torch.cat(of_tail) for of_tail in zip(*rows, strict=True))


def _rows_of_tail(tail: DenseTail, frame: Frame, coords: Int64[Tensor, "n 3"]) -> Float[Tensor, "n cout"]:
    channels = frame.cells.shape[3]
    hidden, result = (empty_frame(frame.shape, channels) for _ in range(2))
    room = room_for(frame.shape, channels)
    for number, block in enumerate(tail.blocks):
        _block(result if number else frame, hidden, result, room, block)
    return _at(result, tail, coords)


def _block(source: Frame, hidden: Frame, result: Frame, room: Tensor, block: DenseBlock) -> None:
    """`relu(norm(conv(relu(norm(conv(source))))) + source)` into `result`, which may be the source."""
    assert block.shortcut is None
    first = convolved(source, block.conv1.weight, room)
    scale, shift = _normalising(first)
    over_planes(lambda x: _normalise(first.cells[x], scale, shift, hidden.inside[x]), source)
    second = convolved(hidden, block.conv2.weight, room)
    scale, shift = _normalising(second)

    def add(x: int) -> None:
        normal = torch.addcmul(shift, second.cells[x], scale)
        torch.add(source.inside[x], normal, out=result.inside[x])
        result.inside[x].relu_()

    over_planes(add, source)


def _normalise(
    cells: Float[Tensor, "y z c"], scale: Float[Tensor, " c"], shift: Float[Tensor, " c"], out: Float[Tensor, "y z c"]
) -> None:
    torch.addcmul(shift, cells, scale, out=out)
    out.relu_()


def _normalising(grid: Convolved) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """Scale and shift of an instance norm without parameters."""
    scale = torch.rsqrt(grid.variance + _EPS)
    return scale.float(), (-grid.mean * scale).float()


def _at(frame: Frame, tail: DenseTail, coords: Int64[Tensor, "n 3"]) -> Float[Tensor, "n cout"]:
    """The last convolution at these cells. Three taps along z are one run of numbers, so that nine gathers do."""
    cells, bias = frame.cells, tail.out.bias
    assert bias is not None
    channels, step = cells.shape[3], cells.shape[2]
    runs = cells.as_strided((cells.numel() // channels - 2, 3 * channels), (channels, 1))
    corner = (coords[:, 0] * cells.shape[1] + coords[:, 1]) * step + coords[:, 2]
    beside = torch.tensor([(a * cells.shape[1] + b) * step for a in range(3) for b in range(3)])
    weight = tail.out.weight.permute(2, 3, 4, 1, 0).reshape(27 * channels, -1)

    def work(part: Tensor) -> Tensor:
        gathered = runs.index_select(0, (part[:, None] + beside).view(-1)).view(len(part), -1)
        return torch.addmm(bias, gathered, weight)

    return torch.cat(over_blocks(work, corner.split(_ROWS_PER_PRODUCT), cells.device))
