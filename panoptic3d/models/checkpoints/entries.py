"""Tensors of a pipeline and their counterparts in a published checkpoint, and how to turn one into the other exactly."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from panoptic3d.sparse.layers.convolution import SparseConv3d, SparseConvTranspose3d
from panoptic3d.sparse.layers.norms import SparseInstanceNorm
from panoptic3d.sparse.weights import from_minkowski, to_minkowski


@dataclass(frozen=True)
class Entry:
    """One tensor. `shape` is theirs."""

    ours: str
    theirs: str
    shape: tuple[int, ...]
    to_ours: Callable[[Tensor], Tensor]
    to_theirs: Callable[[Tensor], Tensor]


def entries_of(model: nn.Module, their_name: Callable[[str], str]) -> tuple[Entry, ...]:
    """All parameters and persistent buffers. Layers of MinkowskiEngine have kernels with taps in another order, and vectors
    with an axis in front.
    """
    return tuple(
        _entry(f"{path}.{leaf}", their_name, module, leaf, tensor)
        for path, module in model.named_modules()
        for leaf, tensor in _own_tensors(module)
    )


def _own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    persistent = module.state_dict(keep_vars=True).keys()
    for leaf, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
        if leaf in persistent:
            yield leaf, tensor


def _entry(ours: str, their_name: Callable[[str], str], module: nn.Module, leaf: str, tensor: Tensor) -> Entry:
    theirs = their_name(ours)
    to_ours: Callable[[Tensor], Tensor] = _same
    to_theirs: Callable[[Tensor], Tensor] = _same
    if isinstance(module, SparseConv3d | SparseConvTranspose3d) and leaf == "weight":
        theirs = f"{theirs.removesuffix('weight')}kernel"
        if module.kernel.num_taps > 1 or module.kernel.stride == 1:  # else theirs keeps the axis of taps, too
            to_ours, to_theirs = from_minkowski, to_minkowski
    elif isinstance(module, SparseConv3d | SparseConvTranspose3d | SparseInstanceNorm):
        to_ours, to_theirs = _without_row, _with_row
    return Entry(ours, theirs, tuple(to_theirs(tensor.detach()).shape), to_ours, to_theirs)


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _without_row(tensor: Tensor) -> Tensor:
    return tensor[0]


def _with_row(tensor: Tensor) -> Tensor:
    return tensor[None]
