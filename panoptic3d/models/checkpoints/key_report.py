"""What became of every key of a published checkpoint, and what is wrong with those that were not taken."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from panoptic3d.models.checkpoints.entries import Entry

_COUNTERS = "num_batches_tracked"  # the one kind of integers in a state dict


@dataclass(frozen=True)
class KeyReport:
    """Every key of the file and of the model once. A file is taken whole or not at all."""

    taken: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)  # old name -> present name; these are taken, too
    constants: tuple[str, ...] = ()  # fixed tensors of the method, equal to ours
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


def match(
    found: Mapping[str, Tensor],
    entries: Sequence[Entry],
    constants: Mapping[str, Tensor],
    present_name: Callable[[str], str] = str,
) -> tuple[KeyReport, dict[str, Tensor]]:
    """What the file's tensors are to the model, and those that fit under our names. Names of an older version are read as
    those of the present one.
    """
    state = {present_name(name): tensor for name, tensor in found.items()}
    renamed = {name: present_name(name) for name in found if present_name(name) != name}
    wanted = {entry.theirs: entry for entry in entries}
    shapes, values, taken = {}, {}, {}
    for name, tensor in state.items():
        if name not in wanted and name not in constants:
            continue
        shape = wanted[name].shape if name in wanted else tuple(constants[name].shape)
        dtype = torch.int64 if name.endswith(_COUNTERS) else torch.float32
        if tuple(tensor.shape) != shape:
            shapes[name] = f"{tuple(tensor.shape)} where {shape} belongs"
        elif tensor.dtype != dtype:
            values[name] = f"{tensor.dtype} where {str(dtype).removeprefix('torch.')} belongs"
        elif name in constants and not torch.equal(tensor, constants[name]):
            values[name] = "a constant of the method with other numbers"
        elif name in wanted:
            taken[wanted[name].ours] = wanted[name].to_ours(tensor)
    is_right = [name for name in state if name not in shapes and name not in values]
    report = KeyReport(
        taken=tuple(name for name in is_right if name in wanted),
        renamed=renamed,
        constants=tuple(name for name in is_right if name in constants),
        missing=tuple(name for name in (*wanted, *constants) if name not in state),
        unexpected=(
            *(name for name in state if name not in wanted and name not in constants),
            *(name for name, present in renamed.items() if present in found),  # both versions of one tensor
        ),
        wrong_shape=shapes,
        wrong_values=values,
    )
    return report, taken
