"""Every tensor of the method: its name here, its name there, and how to turn one into the other without losing a bit."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from panoptic3d.models.uni3d.names import their_name
from panoptic3d.sparse.layers.convolution import SparseConv3d, SparseConvTranspose3d
from panoptic3d.sparse.layers.norms import SparseInstanceNorm
from panoptic3d.sparse.weights import from_minkowski, to_minkowski

STAGE_2D = ("backbone.", "sem_seg_head.", "criterion.")
EMPTY_WEIGHT = "criterion.empty_weight"  # class weights of the 2D objective, "no object" last: a constant of the method
_NO_OBJECT_WEIGHT = 0.1


@dataclass(frozen=True)
class Entry:
    """One tensor. `shape` is theirs."""

    ours: str
    theirs: str
    shape: tuple[int, ...]
    to_ours: Callable[[Tensor], Tensor]
    to_theirs: Callable[[Tensor], Tensor]

    @property
    def is_2d(self) -> bool:
        return self.theirs.startswith(STAGE_2D)


def entries_of(model: nn.Module) -> tuple[Entry, ...]:
    """All parameters and persistent buffers of a pipeline."""
    return tuple(
        _entry(f"{path}.{leaf}" if path else leaf, module, leaf, tensor)
        for path, module in model.named_modules()
        for leaf, tensor in _own_tensors(module)
    )


def constants(num_classes: int = 13) -> dict[str, Tensor]:
    """Tensors of a published checkpoint that are no weights: they are checked on the way in and written on the way out."""
    weights = torch.ones(num_classes + 1)
    weights[-1] = _NO_OBJECT_WEIGHT
    return {EMPTY_WEIGHT: weights}


def to_their_state(model: nn.Module, *, only_2d: bool = False) -> dict[str, Tensor]:
    """The state dict that the reference would write: its names, its shapes, its constants."""
    state = model.state_dict()
    entries = [entry for entry in entries_of(model) if entry.is_2d or not only_2d]
    return {entry.theirs: entry.to_theirs(state[entry.ours]) for entry in entries} | constants()


def _own_tensors(module: nn.Module):
    persistent = module.state_dict(keep_vars=True).keys()
    for leaf, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
        if leaf in persistent:
            yield leaf, tensor


def _entry(ours: str, module: nn.Module, leaf: str, tensor: Tensor) -> Entry:
    theirs = their_name(ours)
    to_ours: Callable[[Tensor], Tensor] = _same
    to_theirs: Callable[[Tensor], Tensor] = _same
    if isinstance(module, SparseConv3d | SparseConvTranspose3d) and leaf == "weight":
        theirs = f"{theirs.removesuffix('weight')}kernel"
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
