"""Which tensor of a published checkpoint is which of ours, and what is wrong with those that are not."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from panoptic3d.backbones.norms import NormName
from panoptic3d.models.panorecon.checkpoint.table import STAGE_2D, constants, entries_of
from panoptic3d.models.panorecon.names import present_name

_COUNTERS = "num_batches_tracked"  # an integer of ordinary batch norms: frozen ones have none


@dataclass(frozen=True)
class KeyReport:
    """Every key of the file and of the model once. A file is taken whole or not at all."""

    taken: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)  # old name -> present name; these are taken, too
    constants: tuple[str, ...] = ()  # fixed buffers, equal to ours
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    wrong_shape: Mapping[str, str] = field(default_factory=dict)  # name -> what was seen and wanted
    wrong_values: Mapping[str, str] = field(default_factory=dict)  # name -> what is wrong with them

    @property
    def is_complete(self) -> bool:
        return not (self.missing or self.unexpected or self.wrong_shape or self.wrong_values)

    @property
    def complaint(self) -> str:
        """The first of each kind and how many there are."""
        kinds = {
            "missing": list(self.missing),
            "unexpected": list(self.unexpected),
            "of another shape": [f"{name} ({what})" for name, what in self.wrong_shape.items()],
            "of other values": [f"{name} ({what})" for name, what in self.wrong_values.items()],
        }
        return "; ".join(f"{len(names)} {kind}, first {names[0]}" for kind, names in kinds.items() if names)


def is_only_2d(state: Mapping[str, Tensor]) -> bool:
    return all(present_name(name).startswith(STAGE_2D) for name in state)


def has_old_names(state: Mapping[str, Tensor]) -> bool:
    return any(present_name(name) != name for name in state)


def norm_of(state: Mapping[str, Tensor]) -> NormName:
    """Ordinary batch norms count their batches; the published files have frozen ones."""
    return "batch" if any(name.endswith(_COUNTERS) for name in state) else "frozen"


def match(state: Mapping[str, Tensor], model: nn.Module) -> tuple[KeyReport, dict[str, Tensor]]:
    """What the file's tensors are to the model, and those that fit under our names."""
    present = {present_name(name): tensor for name, tensor in state.items()}
    renamed = {name: present_name(name) for name in state if present_name(name) != name}
    only_2d = is_only_2d(state)
    wanted = {entry.theirs: entry for entry in entries_of(model) if entry.is_2d or not only_2d}
    fixed = constants()
    shapes, values, taken = {}, {}, {}
    for name, tensor in present.items():
        shape = wanted[name].shape if name in wanted else tuple(fixed[name].shape) if name in fixed else None
        if shape is None:
            continue
        if tuple(tensor.shape) != shape:
            shapes[name] = f"{tuple(tensor.shape)} where {shape} belongs"
        elif tensor.dtype != (torch.int64 if name.endswith(_COUNTERS) else torch.float32):
            values[name] = f"{tensor.dtype} where float32 belongs"
        elif name in fixed and not torch.equal(tensor, fixed[name]):
            values[name] = "a constant of the method with other numbers"
        elif name in wanted:
            taken[wanted[name].ours] = wanted[name].to_ours(tensor)
    twice = [name for name in renamed if renamed[name] in state]
    report = KeyReport(
        taken=tuple(name for name in present if name in wanted and name not in shapes and name not in values),
        renamed=renamed,
        constants=tuple(name for name in present if name in fixed and name not in shapes and name not in values),
        missing=tuple(name for name in (*wanted, *fixed) if name not in present),
        unexpected=tuple(name for name in present if name not in wanted and name not in fixed) + tuple(twice),
        wrong_shape=shapes,
        wrong_values=values,
    )
    return report, taken
