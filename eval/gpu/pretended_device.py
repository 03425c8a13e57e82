"""A pretended CUDA device, for machines without one: tensors stay in the CPU's memory and are watched as if they did not.

A storage is on the device if an operation put it there. `Tensor.device` then says `cuda`, so that the code under test goes
the ways that it goes on CUDA. Every operation that reaches the dispatcher, backward included, is checked as CUDA would: what
was made on the CPU may not meet what is on the device, except for tensors without dimensions and for indices. Every point
at which the CPU waits for the device is counted, with the line of the library that waits.

What it cannot see: kernels of CUDA and of Triton, their rounding, the rules of CUDA's own autocast (the CPU's stand in for
them), races between streams, and threads other than the one that entered.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, wraps
from pathlib import Path
from types import FrameType
from typing import Any, Literal
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from panoptic3d.sparse import convolution
from panoptic3d.sparse.backends import triton_backend

DEVICE = torch.device("cuda", 0)
_CPU = torch.device("cpu")
_LIBRARY = Path(__file__).resolve().parents[2] / "panoptic3d"
_aten = torch.ops.aten
_parse_to: Any = getattr(torch._C, "_nn")._parse_to  # noqa: B009 - no stub knows it
_torch_tensor, _autocast, _one_hot = torch.tensor, torch.autocast, F.one_hot

Kind = Literal["wait", "upload"]
Route = Literal["torch", "triton"]

# Operations that wait for the device, whatever they are given: their result's size, or a value, is a matter of the data.
_WAITING = {
    _aten._local_scalar_dense.default: "item",
    _aten.nonzero.default: "nonzero",
    _aten.masked_select.default: "masked_select",
    _aten._unique2.default: "unique",
    _aten.unique_dim.default: "unique",
    _aten.unique_consecutive.default: "unique",
    _aten.bincount.default: "bincount",
    _aten.equal.default: "equal",
}
_INDEXING = {_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default, _aten._index_put_impl_.default}
# Beside pointwise operations, those that take a CPU tensor without dimensions as if it were a number.
_TAKING_NUMBERS = {
    _aten.fill_.Tensor,
    _aten.masked_fill.Tensor,
    _aten.masked_fill_.Tensor,
    _aten.index_fill.int_Tensor,
    _aten.index_fill_.int_Tensor,
}


class MixedDevicesError(RuntimeError):
    """What CUDA would have refused."""


@dataclass(frozen=True)
class Sync:
    """One point at which the CPU waited: for a value (`wait`), or until a value had been sent (`upload`)."""

    kind: Kind
    operation: str
    phase: str
    stage: str  # the slot whose filling was at work, or nothing
    place: str  # file:line of the library


@dataclass
class Ledger:
    """What was seen. A stage is known by its filling: an object whose methods are at work."""

    stages: Mapping[int, str] = field(default_factory=dict)
    syncs: list[Sync] = field(default_factory=list)
    phase: str = ""

    def watch(self, fillings: Mapping[str, object]) -> None:
        self.stages = {id(filling): name for name, filling in fillings.items()}

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        before, self.phase = self.phase, phase
        try:
            yield
        finally:
            self.phase = before

    def note(self, kind: Kind, operation: str) -> None:
        frames = list(_frames())
        place = next((_place(frame) for frame in frames if _is_ours(frame)), "elsewhere")
        owners = (self.stages.get(id(frame.f_locals.get("self"))) for frame in frames)
        stage = next((owner for owner in owners if owner is not None), "")
        self.syncs.append(Sync(kind, operation, self.phase, stage, place))


class PretendedDevice(TorchDispatchMode):
    """Enter by `pretended_device()`."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger
        self._storages: set[StorageWeakRef] = set()  # a weak reference keeps the address from being used again
        self._side: bool | None = None

    def has(self, tensor: Tensor) -> bool:
        return StorageWeakRef(_storage(tensor)) in self._storages

    def take(self, tensor: Tensor) -> None:
        self._storages.add(StorageWeakRef(_storage(tensor)))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if _is_composite(func):  # inference mode leaves these whole
            with self:
                return func.decompose(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        here = [tensor for tensor in tensors if self.has(tensor)]
        wanted = kwargs.get("device")
        if wanted is not None:
            kwargs["device"] = _CPU
            _refuse_generator(func, kwargs.get("generator"), wanted)
        if here and len(here) < len(tensors):
            self._meet(func, args, tensors, here)
        self._count(func, args, kwargs, here)
        made = func(*args, **kwargs)
        if self._is_made_here(func, bool(here), wanted):
            for tensor in tree_leaves(made):
                if isinstance(tensor, Tensor):
                    self.take(tensor)
        return made

    @contextmanager
    def copying(self, to_device: bool) -> Iterator[None]:
        """Copies made meanwhile lie on that side, wherever their source is."""
        before, self._side = self._side, to_device
        try:
            yield
        finally:
            self._side = before

    def _is_made_here(self, func: Any, has_inputs_here: bool, wanted: torch.device | None) -> bool:
        if func is _aten.copy_.default:  # writes into what is somewhere already
            return False
        if func is _aten._to_copy.default and self._side is not None:
            return self._side
        return has_inputs_here if wanted is None or wanted == _CPU else wanted.type == DEVICE.type

    def _meet(self, func: Any, args: Any, tensors: list[Tensor], here: list[Tensor]) -> None:
        """Raise as CUDA would, where tensors of both devices come together."""
        strangers = [tensor for tensor in tensors if not self.has(tensor)]
        if func is _aten.copy_.default:
            if self.has(args[1]):
                self.ledger.note("wait", "copy to the CPU")
            elif args[1].dim():
                self.ledger.note("upload", "copy")
            return
        if func in _INDEXING:
            others = [tensor for tensor in strangers if not any(tensor is index for index in args[1])]
            if self.has(args[0]) and all(tensor.dim() == 0 for tensor in others):
                if len(others) < len(strangers):
                    self.ledger.note("upload", "index")
                return
        is_lenient = func in _TAKING_NUMBERS or torch.Tag.pointwise in func.tags or "foreach" in func.name()
        writes_elsewhere = func.name().split(".")[0].endswith("_") and any(args[0] is tensor for tensor in strangers)
        if is_lenient and not writes_elsewhere and all(tensor.dim() == 0 for tensor in strangers):
            return
        seen = ", ".join(f"{'device' if self.has(tensor) else 'CPU'} {tuple(tensor.shape)}" for tensor in tensors)
        raise MixedDevicesError(f"{func.name()} was given tensors of both devices: {seen}; at {_first_place()}")

    def _count(self, func: Any, args: Any, kwargs: dict[str, Any], here: list[Tensor]) -> None:
        if not here:
            return
        if func in _WAITING:
            self.ledger.note("wait", _WAITING[func])
        elif func is _aten.repeat_interleave.Tensor and kwargs.get("output_size") is None:
            self.ledger.note("wait", "repeat_interleave")
        elif func in _INDEXING and any(index is not None and index.dtype == torch.bool for index in args[1]):
            is_fill = func is not _aten.index.Tensor and args[2].numel() == 1  # becomes masked_fill
            if not is_fill:
                self.ledger.note("wait", "boolean mask")


@contextmanager
def pretended_device(route: Route = "torch") -> Iterator[PretendedDevice]:
    """While it is entered, `tensor.to("cuda")` pretends, and so does whatever is made with the device of such a tensor.

    `route` is the sparse back end that CUDA would take: plain PyTorch, or the Triton kernels, for which two loops in plain
    PyTorch stand in. These neither wait nor send, as the kernels do not.
    """
    mode = PretendedDevice(Ledger())
    with ExitStack() as stack:
        chosen = [
            (convolution, "resolved_name", lambda name, device: route),
            (triton_backend, "_kernels", lambda: _Kernels),
        ]
        for owner, name, stand_in in [*_stand_ins(mode), *chosen]:
            stack.enter_context(patch.object(owner, name, stand_in))
        stack.enter_context(mode)
        yield mode


def _stand_ins(mode: PretendedDevice) -> list[tuple[Any, str, Any]]:
    """Calls that read a tensor's device, or reach its memory, before the dispatcher sees them."""
    base = torch._C.TensorBase
    to, numpy, tolist = base.to, base.numpy, base.tolist

    def moved(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args and isinstance(args[0], Tensor):
            args, kwargs = (), {"dtype": args[0].dtype, "device": args[0].device, **kwargs}
        copy = kwargs.pop("copy", False)
        device, dtype, _, layout = _parse_to(*args, **kwargs)
        target = None if device is None else device.type == DEVICE.type
        kept = {"dtype": dtype or tensor.dtype, "memory_format": layout}
        if target is None or target == mode.has(tensor):
            return to(tensor, copy=copy, **kept)
        mode.ledger.note(*(("upload", "to") if target else ("wait", "copy to the CPU")))
        with mode.copying(target):
            return to(tensor, copy=True, **kept)

    def to_cpu(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return moved(tensor, _CPU)

    def as_numpy(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        if mode.has(tensor):
            raise MixedDevicesError(f"numpy was given a tensor of the device; call .cpu() first, at {_first_place()}")
        return numpy(tensor, *args, **kwargs)

    def as_list(tensor: Tensor) -> Any:
        if mode.has(tensor):
            mode.ledger.note("wait", "tolist")
        return tolist(tensor)

    def new(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return made(*args, **{"device": tensor.device, "dtype": tensor.dtype, **kwargs})

    def made(data: Any, *args: Any, device: Any = None, **kwargs: Any) -> Tensor:
        tensor = _torch_tensor(data, *args, **kwargs)
        return tensor if device is None else moved(tensor, torch.device(device))

    def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
        if isinstance(data, Tensor):
            return moved(data, device, dtype)
        return made(data, dtype=dtype, device=device)

    def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
        if not mode.has(tensor):
            return _one_hot(tensor, num_classes)
        if num_classes < 0:
            mode.ledger.note("wait", "one_hot")
        with _disable_current_modes():  # CUDA does not check the values
            made = _one_hot(tensor, num_classes)
        mode.take(made)
        return made

    device_of = property(lambda tensor: DEVICE if mode.has(tensor) else _CPU)
    return [
        (torch.Tensor, "device", device_of),
        (torch.Tensor, "is_cuda", property(mode.has)),
        (torch.Tensor, "is_cpu", property(lambda tensor: not mode.has(tensor))),
        (torch.Tensor, "to", moved),
        (torch.Tensor, "cpu", to_cpu),
        (torch.Tensor, "numpy", as_numpy),
        (torch.Tensor, "__array__", as_numpy),
        (torch.Tensor, "tolist", as_list),
        (torch.Tensor, "new_tensor", new),
        (torch, "tensor", made),
        (torch, "as_tensor", as_tensor),
        (F, "one_hot", one_hot),
        (torch, "autocast", _Autocast),
        (torch, "is_autocast_enabled", _of_the_cpu(torch.is_autocast_enabled)),
        (torch, "get_autocast_dtype", _of_the_cpu(torch.get_autocast_dtype)),
        (torch.cuda, "_lazy_init", lambda: None),
    ]


class _Kernels:
    """What the Triton kernels compute."""

    @staticmethod
    def gather_gemm(features: Tensor, weight: Tensor, neighbours: Tensor, order: Tensor) -> Tensor:
        out = features.new_zeros(len(neighbours), weight.shape[2])
        for tap in range(len(weight)):
            source = torch.where(neighbours[:, tap] < 0, len(features), neighbours[:, tap])
            out += F.pad(features, (0, 0, 0, 1))[source] @ weight[tap]
        return out

    @staticmethod
    def correlate(features: Tensor, gradient: Tensor, neighbours: Tensor, order: Tensor) -> Tensor:
        wide = F.pad(features, (0, 0, 0, 1)).float()
        taps = [
            wide[torch.where(source < 0, len(features), source)].t() @ gradient.float() for source in neighbours.t()
        ]
        return torch.stack(taps)


class _Autocast(_autocast):
    """The CPU's rules stand in for CUDA's."""

    def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
        super().__init__("cpu", *args, **kwargs)


def _of_the_cpu(ask: Callable[[str], Any]) -> Callable[[str], Any]:
    @wraps(ask)
    def asked(device_type: str = "cpu") -> Any:
        return ask("cpu")

    return asked


@cache
def _is_composite(func: Any) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")


def _refuse_generator(func: Any, generator: torch.Generator | None, wanted: torch.device) -> None:
    if generator is not None and generator.device.type != wanted.type:
        raise MixedDevicesError(
            f"{func.name()} draws on {wanted.type} by a generator of {generator.device.type}; at {_first_place()}"
        )


def _storage(tensor: Tensor) -> Any:
    return torch._C.TensorBase.untyped_storage(tensor)


def _frames() -> Iterator[FrameType]:
    """From the innermost one outwards."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(str(_LIBRARY))


def _place(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).relative_to(_LIBRARY)}:{frame.f_lineno}"


def _first_place() -> str:
    return next((_place(frame) for frame in _frames() if _is_ours(frame)), "no line of the library")
