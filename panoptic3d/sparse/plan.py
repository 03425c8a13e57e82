"""Plans: which rows of two voxel sets a kernel joins. Built once, reused over layers and in backward."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeVar

from jaxtyping import Int32
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.sparse.config import DEFAULT_SPARSE_CONFIG, SparseConfig
from panoptic3d.sparse.kernel import Kernel
from panoptic3d.sparse.kernel_map import Side, coarse_side, fine_side
from panoptic3d.sparse.runtime.parallel import on_one_core
from panoptic3d.structures.sparse_voxels import SparseVoxels

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Plan:
    """The relation `fine = stride*coarse + dilation*tap - padding` between two given sets.

    A convolution writes the coarse side and reads the fine one, a transposed convolution the other way round. What a side
    needs is worked out when it is first asked for and kept. How a convolution is carried out is the back ends' affair: they
    keep here what they work out for it.
    """

    fine: SparseVoxels
    coarse: SparseVoxels
    kernel: Kernel
    config: SparseConfig = DEFAULT_SPARSE_CONFIG
    _kept: dict = field(default_factory=dict, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def is_mirrored(self) -> bool:
        """Whether reversing the taps swaps the two sides: the sets are equal and the kernel is symmetric."""
        return self.fine is self.coarse and self.kernel.is_symmetric

    @property
    def is_pointwise(self) -> bool:
        """Whether every voxel reads itself and nothing else, so that nothing needs to be worked out."""
        return self.fine is self.coarse and (self.kernel.size, self.kernel.stride) == (1, 1)

    def side(self, writes: str) -> Side:
        table_bytes = self.config.table_bytes
        make = {"coarse": coarse_side, "fine": fine_side}[writes]
        return self.worked_out(("side", writes), lambda: make(self.fine, self.coarse, self.kernel, table_bytes))

    def worked_out(self, key: Hashable, make: Callable[[], T]) -> T:
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
