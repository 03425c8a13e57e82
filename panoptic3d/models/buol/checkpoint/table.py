"""Every tensor of the method: its name here, its name there, and how to turn one into the other without losing a bit."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from panoptic3d.models.buol.names import their_name
from panoptic3d.sparse.layers.convolution import SparseConv3d, SparseConvTranspose3d
from panoptic3d.sparse.layers.norms import SparseInstanceNorm
from panoptic3d.sparse.weights import from_minkowski, to_minkowski

_SPARSE = (SparseConv3d, SparseConvTranspose3d)
SOBEL = "depth.get_gradient.edge_conv.weight"


@dataclass(frozen=True)
class Entry:
    """One tensor. `shape` is theirs."""

    ours: str
    theirs: str
    shape: tuple[int, ...]
    to_ours: Callable[[Tensor], Tensor]
    to_theirs: Callable[[Tensor], Tensor]


def entries_of(model: nn.Module) -> tuple[Entry, ...]:
    """All parameters and persistent buffers of a pipeline."""
    return tuple(
        _entry(f"{path}.{leaf}", module, leaf, tensor)
        for path, module in model.named_modules()
        for leaf, tensor in _own_tensors(module)
    )


def constants() -> dict[str, Tensor]:
    """Tensors of a published checkpoint that are no weights: they are checked on the way in and written on the way out."""
    across = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    down = torch.tensor([[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]])
    return {SOBEL: torch.stack((across, down))[:, None]}


def to_their_state(model: nn.Module) -> dict[str, Tensor]:
    """The state dict that the reference would write: its names, its shapes, its constants."""
    state: Mapping[str, Tensor] = model.state_dict()
    theirs = {entry.theirs: entry.to_theirs(state[entry.ours]) for entry in entries_of(model)}
    return theirs | constants()


def _own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    persistent = module.state_dict(keep_vars=True).keys()
    for leaf, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
        if leaf in persistent:
            yield leaf, tensor


def _entry(ours: str, module: nn.Module, leaf: str, tensor: Tensor) -> Entry:
    theirs = their_name(ours)
    to_ours: Callable[[Tensor], Tensor] = _same
    to_theirs: Callable[[Tensor], Tensor] = _same
    if isinstance(module, _SPARSE) and leaf == "weight":
        theirs = f"{theirs.removesuffix('weight')}kernel"
        to_ours, to_theirs = from_minkowski, to_minkowski
        if module.kernel.num_taps == 1 and module.kernel.stride > 1:  # theirs keeps the axis of taps then
            to_ours, to_theirs = _same, _same
    elif isinstance(module, (*_SPARSE, SparseInstanceNorm)):
        to_ours, to_theirs = _without_row, _with_row
    return Entry(ours, theirs, tuple(to_theirs(tensor.detach()).shape), to_ours, to_theirs)


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _without_row(tensor: Tensor) -> Tensor:
    return tensor[0]


def _with_row(tensor: Tensor) -> Tensor:
    return tensor[None]
