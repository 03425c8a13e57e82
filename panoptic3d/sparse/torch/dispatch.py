"""Which kernel of plain PyTorch computes a convolution: one table, in the order of preference.

The first kernel that nothing stands in the way of is taken. An obstacle is the end of a sentence that starts with the
kernel's name; `panoptic3d doctor --explain` prints them. Thresholds are in `limits.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from panoptic3d.sparse.backends.protocol import Writes
from panoptic3d.sparse.plan import Plan
from panoptic3d.sparse.torch.dense_in_mask import conv_in_mask
from panoptic3d.sparse.torch.gather_gemm import apply_taps
from panoptic3d.sparse.torch.limits import (
    LEAST_FILL_OF_SUMS,
    LEAST_FILL_OF_TILES,
    LEAST_LINES_OF_TILES,
    LEAST_OUT_OF_SUMS,
    LEAST_PRODUCT_OF_TILES,
    LEAST_VOXELS_OF_TILES,
    MOST_OUT_OF_NARROW_TILES,
    MOST_OUT_OF_SUMS,
)
from panoptic3d.sparse.torch.product_first import kept_subcells, sums_of_set, sums_of_step_up
from panoptic3d.sparse.torch.tiling import Tiles
from panoptic3d.sparse.torch.winograd_tiles import conv_in_tiles, kept_tiles
from panoptic3d.sparse.torch.work_order import is_cube_of_lines, obstacle_to_lines, too_thin, work_order


@dataclass(frozen=True)
class Widths:
    """Channels in and out, the side that is written, and whether no gradient is wanted of float32 on a CPU."""

    num_in: int
    num_out: int
    writes: Writes
    is_inference: bool

    @classmethod
    def of(cls, features: Tensor, weight: Tensor, writes: Writes) -> "Widths":
        return cls(weight.shape[1], weight.shape[2], writes, is_inference_on_a_cpu(features, weight))


class TorchKernel(NamedTuple):
    """`gradient`: torch's own of `run`, or that of the gathered convolution."""

    name: str
    obstacle: Callable[[Plan, Widths], str | None]
    run: Callable[[Tensor, Tensor, Plan, Widths], Tensor]
    has_own_gradient: bool = False


def chosen(plan: Plan, widths: Widths) -> TorchKernel:
    return next(kernel for kernel in KERNELS if kernel.obstacle(plan, widths) is None)


def explained(plan: Plan, widths: Widths) -> list[tuple[str, str | None]]:
    """The kernels up to the one that is taken, each with what stands in its way."""
    rows = []
    for kernel in KERNELS:
        rows.append((kernel.name, kernel.obstacle(plan, widths)))
        if rows[-1][1] is None:
            break
    return rows


def is_inference_on_a_cpu(features: Tensor, weight: Tensor) -> bool:
    """In float32."""
    wants_gradient = torch.is_grad_enabled() and (features.requires_grad or weight.requires_grad)
    is_plain = features.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return features.device.type == "cpu" and is_plain and not wants_gradient


def tiles_for(plan: Plan, widths: Widths) -> Tiles | str:
    """The largest tiles that the config allows and that are faster than gathering, or the reason for not using tiles."""
    num_taps, num_in, num_out = plan.kernel.size, widths.num_in, widths.num_out
    if not widths.is_inference:
        return "computes float32 on a CPU without a gradient"
    if not (widths.writes == "coarse" and plan.is_mirrored and num_taps in (3, 5) and plan.kernel.dilation == 1):
        return "joins a set with itself by 3^3 or 5^3 taps"
    if len(plan.fine) < LEAST_VOXELS_OF_TILES:
        return f"is slower below {LEAST_VOXELS_OF_TILES:,} voxels ({len(plan.fine):,})"
    if num_in * num_out < LEAST_PRODUCT_OF_TILES and (num_out > MOST_OUT_OF_NARROW_TILES or num_taps > 3):
        return f"is slower below {LEAST_PRODUCT_OF_TILES} products of channels ({num_in} x {num_out})"
    if (thin := too_thin(plan, LEAST_LINES_OF_TILES)) is not None:
        return thin
    seen = []
    for size in (size for size in (4, 2) if size <= plan.config.tile):
        tiles, least = kept_tiles(plan, size), LEAST_FILL_OF_TILES[num_taps, size]
        if tiles.fill >= least:
            return tiles
        seen.append(f"{size} x {size} below {least} ({tiles.fill:.2f})")
    return f"is slower where the tiles' fill is {', '.join(seen)}" if seen else "is switched off by `tile: 0`"


def _no_tiles(plan: Plan, widths: Widths) -> str | None:
    tiles = tiles_for(plan, widths)
    return tiles if isinstance(tiles, str) else None


def _in_tiles(features: Tensor, weight: Tensor, plan: Plan, widths: Widths) -> Tensor:
    tiles = tiles_for(plan, widths)
    assert not isinstance(tiles, str)
    return conv_in_tiles(features, weight, plan, tiles)


def _not_dense(plan: Plan, widths: Widths) -> str | None:
    limit, share = plan.config.dense_from_occupancy, plan.fine.occupancy
    if limit is None:
        return "is switched off by `dense_from_occupancy: null`"
    if widths.writes != "coarse" or not plan.is_mirrored:
        return "joins a set with itself"
    return None if share >= limit else f"is slower where less than {limit} of the box is occupied ({share:.2f})"


def _no_sums(plan: Plan, widths: Widths) -> str | None:
    if plan.fine.device.type != "cpu":
        return "computes on a CPU"
    if widths.num_in < widths.num_out or widths.num_out < LEAST_OUT_OF_SUMS:
        return f"pays where no more channels go out than in, and {LEAST_OUT_OF_SUMS} at least"
    return None


def _no_sums_of_set(plan: Plan, widths: Widths) -> str | None:
    if (obstacle := _no_sums(plan, widths)) is not None:
        return obstacle
    if widths.writes != "coarse" or not plan.is_mirrored or not is_cube_of_lines(plan):
        return "joins a set with itself by 3^3 taps"
    if widths.num_out > MOST_OUT_OF_SUMS:
        return f"is slower above {MOST_OUT_OF_SUMS} channels out ({widths.num_out})"
    return too_thin(plan, LEAST_FILL_OF_SUMS)


def _no_step_up(plan: Plan, widths: Widths) -> str | None:
    if (obstacle := _no_sums(plan, widths)) is not None:
        return obstacle
    kernel = plan.kernel
    is_step = kernel.stride > 1 and kernel.size % kernel.stride == 0 and kernel.dilation == 1
    if widths.writes != "fine" or plan.is_mirrored or not is_step or not len(plan.fine):
        return "makes finer voxels, by taps as many times as the stride"
    made = LEAST_FILL_OF_SUMS * kernel.stride**3
    if len(plan.fine) < made * len(plan.coarse) or kept_subcells(plan).fill < made:
        return f"is slower where less than {LEAST_FILL_OF_SUMS} of what coarse voxels could make is wanted"
    return None


def _gathered(features: Tensor, weight: Tensor, plan: Plan, widths: Widths) -> Tensor:
    order = work_order(plan, widths.writes, widths.num_in, widths.num_out)
    num_rows = len(plan.coarse if widths.writes == "coarse" else plan.fine)
    return apply_taps(features, weight, order, num_rows, plan.config.gather_bytes)


KERNELS = (
    TorchKernel("Winograd's tiles", _no_tiles, _in_tiles, has_own_gradient=True),
    TorchKernel("dense in the mask", _not_dense, lambda f, w, plan, _: conv_in_mask(f, w, plan), has_own_gradient=True),
    TorchKernel("products first", _no_sums_of_set, lambda f, w, plan, _: sums_of_set(plan, *w.shape[1:])(f, w)),
    TorchKernel(
        "products first, a step up", _no_step_up, lambda f, w, plan, _: sums_of_step_up(plan, w.shape[2])(f, w)
    ),
    TorchKernel("gathered lines", lambda plan, w: obstacle_to_lines(plan, w.num_in * w.num_out), _gathered),
    TorchKernel("gathered taps", lambda plan, widths: None, _gathered),
)
