"""Plans: which rows of two voxel sets a kernel joins. Built once, reused over layers and in backward."""

import math
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeVar

import torch.nn.functional as F
from jaxtyping import Float, Int32
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.sparse.config import DEFAULT_SPARSE_CONFIG, SparseConfig
from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.kernel_map import Side, coarse_side, fine_side
from panoptic3d.sparse.runtime.parallel import on_one_core
from panoptic3d.sparse.torch.chunk_schedule import Block, schedule
from panoptic3d.sparse.torch.line_taps import LINE_TAPS, LinedRows, lined_rows, lined_side
from panoptic3d.structures.sparse_voxels import SparseVoxels

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Plan:
    """The relation `fine = stride*coarse + dilation*tap - padding` between two given sets.

    A convolution writes the coarse side and reads the fine one, a transposed convolution the other way round. What a side
    needs is worked out when it is first asked for and kept.
    """

    fine: SparseVoxels
    coarse: SparseVoxels
    kernel: Kernel
    config: SparseConfig = DEFAULT_SPARSE_CONFIG
    _kept: dict = field(default_factory=dict, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def is_mirrored(self) -> bool:
        """Whether both sides are one, with the taps in reverse order."""
        return self.fine is self.coarse and self.kernel.is_symmetric

    @property
    def is_pointwise(self) -> bool:
        """Whether every voxel reads itself and nothing else, so that nothing needs to be worked out."""
        return self.fine is self.coarse and (self.kernel.size, self.kernel.stride) == (1, 1)

    def side(self, writes: str) -> Side:
        table_bytes = self.config.table_bytes
        if writes == "lines":
            lines = self.lined_rows()
            return self._worked_out(("side", writes), lambda: lined_side(self.fine, lines, table_bytes))
        make = {"coarse": coarse_side, "fine": fine_side}[writes]
        return self._worked_out(("side", writes), lambda: make(self.fine, self.coarse, self.kernel, table_bytes))

    def schedule(self, writes: str, num_in: int, num_out: int) -> "Schedule":
        """The order of work. It depends a little on the channels: the fewer, the more a call costs beside the products."""
        is_flipped = writes == "fine" and self.is_mirrored
        side = "coarse" if is_flipped else writes
        lines = self._lines(num_in * num_out)
        if lines is not None:
            side, waste = "lines", _max_waste(LINE_TAPS * num_in * num_out)
        else:
            waste = _max_waste(num_in * num_out)
        blocks = self.kept(
            ("schedule", side, waste), lambda: schedule(self.side(side), self.config.rows_per_block, waste)
        )
        return Schedule(blocks, is_flipped, lines)

    def _lines(self, channel_product: int) -> LinedRows | None:
        """The rows in lines, if that is faster: a matter of how many products with zeros it adds."""
        is_possible = (
            self.fine.device.type == "cpu"
            and self.is_mirrored
            and (self.kernel.size, self.kernel.dilation) == (LINE_TAPS, 1)
            and len(self.fine)
        )
        if not is_possible:
            return None
        lines = self.lined_rows()
        return lines if lines.fill >= _least_fill(channel_product) else None

    def lined_rows(self) -> LinedRows:
        return self._worked_out("lines", lambda: lined_rows(self.fine))

    def _worked_out(self, key: Hashable, make: Callable[[], T]) -> T:
        return self.kept(key, lambda: on_one_core(make, self.fine.device))

    def neighbours(self, writes: str) -> Int32[Tensor, "n t"]:
        """For every row of a side and every tap the row of the other side, or -1."""
        return self.kept(("neighbours", writes), lambda: self.side(writes).neighbours(self.kernel.num_taps))

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made under this key before, or is made now; by one thread, for which the others wait."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            return self._kept[key]


@dataclass(frozen=True, eq=False)
class Schedule:
    """Blocks of work; flipped when they were made for the opposite side of a mirrored plan.

    With `lines` the rows that are read are those of `lines.spread`, and a tap of a block is a line of taps.
    """

    blocks: tuple[Block, ...]
    is_flipped: bool
    lines: LinedRows | None = None

    @property
    def taps_at_once(self) -> int:
        return 1 if self.lines is None else LINE_TAPS

    def sources(self, features: Float[Tensor, "m c"]) -> Float[Tensor, "m2 c2"]:
        """The rows that the blocks gather; on a GPU a row of zeros behind them, for taps without a voxel."""
        if features.device.type != "cpu":
            return F.pad(features, (0, 0, 0, 1))
        return features if self.lines is None else self.lines.spread(features)

    def weights(self, weight: Float[Tensor, "t cin cout"]) -> Float[Tensor, "t2 cin2 cout"]:
        """One matrix for every tap of the blocks."""
        weight = weight.flip(0) if self.is_flipped else weight
        return weight.reshape(-1, self.taps_at_once * weight.shape[1], weight.shape[2])


class PlanBook:
    """Keeps every plan of one forward pass, so that layers over the same voxels share it."""

    def __init__(self, config: SparseConfig = DEFAULT_SPARSE_CONFIG) -> None:
        self.config = config
        self._plans: dict[tuple[int, int, Kernel], Plan] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._plans)

    def plan(self, fine: SparseVoxels, coarse: SparseVoxels, kernel: Kernel) -> Plan:
        """The plan between two sets; for a submanifold convolution they are one and the same object."""
        key = (id(fine), id(coarse), kernel)  # a plan keeps its sets alive, so the ids stay theirs
        with self._lock:
            if key not in self._plans:
                self._plans[key] = make_plan(fine, coarse, kernel, self.config)
            return self._plans[key]


def make_plan(
    fine: SparseVoxels, coarse: SparseVoxels, kernel: Kernel, config: SparseConfig = DEFAULT_SPARSE_CONFIG
) -> Plan:
    if coarse.stride != fine.stride * kernel.stride:
        raise InputError(
            f"a kernel of stride {kernel.stride} joins sets whose strides differ by that factor, these have "
            f"{fine.stride} and {coarse.stride}; give the finer set first."
        )
    if coarse.batch_size != fine.batch_size:
        raise InputError(
            f"the sets of a plan hold batches of {fine.batch_size} and {coarse.batch_size}; use one batch for both."
        )
    return Plan(fine, coarse, kernel, config)


_LEAST_FILLS = ((256, 0.48), (1024, 0.72), (4096, 0.76))  # of products of channels up to this
_LEAST_PRODUCT = 256  # below, the gather costs more than the product, and a schedule for 256 serves as well
_CALL_SECONDS, _GATHER_SECONDS, _FLOPS = 13e-6, 8e-9, 85e9  # of one core; docs/sparse.md says how they were measured


def _max_waste(channel_product: int) -> int:
    """Row-taps of zeros that cost as much as one more call, to the next power of two so that layers share schedules."""
    seconds = _GATHER_SECONDS + 2 * max(channel_product, _LEAST_PRODUCT) / _FLOPS
    return 1 << max(5, math.ceil(math.log2(_CALL_SECONDS / seconds)))


def _least_fill(channel_product: int) -> float:
    """From which share of occupied cells in the lines on these are faster, as measured (docs/sparse.md)."""
    return next((fill for product, fill in _LEAST_FILLS if channel_product <= product), _LEAST_FILLS[-1][1])
