"""Plans: which rows of two voxel sets a kernel joins. Built once, reused over layers and in backward."""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeVar

from jaxtyping import Int32
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.sparse.config import DEFAULT_SPARSE_CONFIG, SparseConfig
from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.schedule import Block, schedule
from panoptic3d.sparse.sides import Side, coarse_side, fine_side
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

    @property
    def is_mirrored(self) -> bool:
        """Whether both sides are one, with the taps in reverse order."""
        return self.fine is self.coarse and self.kernel.is_symmetric

    def side(self, writes: str) -> Side:
        make = {"coarse": coarse_side, "fine": fine_side}[writes]
        return self.kept(("side", writes), lambda: make(self.fine, self.coarse, self.kernel, self.config.table_bytes))

    def schedule(self, writes: str, num_in: int, num_out: int) -> "Schedule":
        """The order of work. It depends a little on the channels: the fewer, the more a call costs beside the products."""
        is_flipped = writes == "fine" and self.is_mirrored
        side = "coarse" if is_flipped else writes
        waste = _max_waste(num_in * num_out)
        blocks = self.kept(
            ("schedule", side, waste), lambda: schedule(self.side(side), self.config.rows_per_block, waste)
        )
        return Schedule(blocks, is_flipped)

    def neighbours(self, writes: str) -> Int32[Tensor, "n t"]:
        """For every row of a side and every tap the row of the other side, or -1."""
        return self.kept(("neighbours", writes), lambda: self.side(writes).neighbours(self.kernel.num_taps))

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made under this key before, or is made now."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


@dataclass(frozen=True, eq=False)
class Schedule:
    """Blocks of work; flipped when they were made for the opposite side of a mirrored plan."""

    blocks: tuple[Block, ...]
    is_flipped: bool


class PlanBook:
    """Keeps every plan of one forward pass, so that layers over the same voxels share it. Not shared between threads."""

    def __init__(self, config: SparseConfig = DEFAULT_SPARSE_CONFIG) -> None:
        self.config = config
        self._plans: dict[tuple[int, int, Kernel], Plan] = {}

    def __len__(self) -> int:
        return len(self._plans)

    def plan(self, fine: SparseVoxels, coarse: SparseVoxels, kernel: Kernel) -> Plan:
        """The plan between two sets; for a submanifold convolution they are one and the same object."""
        key = (id(fine), id(coarse), kernel)  # a plan keeps its sets alive, so the ids stay theirs
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


_LEAST_PRODUCT = 256  # below, the gather costs more than the product, and a schedule for 256 serves as well
_CALL_SECONDS, _GATHER_SECONDS, _FLOPS = 13e-6, 8e-9, 85e9  # of one core; docs/sparse.md says how they were measured


def _max_waste(channel_product: int) -> int:
    """Row-taps of zeros that cost as much as one more call, to the next power of two so that layers share schedules."""
    seconds = _GATHER_SECONDS + 2 * max(channel_product, _LEAST_PRODUCT) / _FLOPS
    return 1 << max(5, math.ceil(math.log2(_CALL_SECONDS / seconds)))
