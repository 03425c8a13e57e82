"""A folder with `model.safetensors` and `config.json` to a network. Both may come from a stranger.

A config may ask for more memory than there is, and weights may be anything. So the network is built without memory at first,
its tensors are compared with what the header of the file says, and only then is memory taken and filled.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from panoptic3d.errors import BadFileError, reading
from panoptic3d.models.checkpoints.folder import ADVICE, CONFIG, WEIGHTS

NetworkT = TypeVar("NetworkT", bound=nn.Module)
_FLOATS, _INTEGERS = ("F64", "F32", "F16", "BF16"), ("I64", "I32")


def load_network_of(folder: Path, build: Callable[[], NetworkT], may_lack: str | None = None) -> NetworkT:
    """What `build` makes, with the weights of the folder. A missing, foreign, misshapen or infinite one is named. Tensors
    whose names begin with `may_lack` keep their initial values where the file has none.
    """
    path = folder / WEIGHTS
    with reading(folder / CONFIG, "a config of a network", advice=ADVICE):
        wanted = without_memory(build).state_dict()
    _compare(path, wanted, may_lack)
    with reading(folder / CONFIG, "a config of a network", advice=ADVICE):
        network = build()
    network.load_state_dict(read_state(path), strict=False)
    return network


def without_memory(build: Callable[[], NetworkT]) -> NetworkT:
    """On torch's `meta` device: shapes and no values."""
    with torch.device("meta"), _NoInitialValues():
        return build()


def read_state(path: Path) -> dict[str, Tensor]:
    """Every tensor of the file. Numbers that are not finite are refused: a network would make an empty scene of them."""
    with reading(path, "weights in safetensors", advice=ADVICE), safe_open(path, "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise _bad(path, f"holds numbers that are not finite, in {name}", "not_finite")
    return state


def _compare(path: Path, wanted: Mapping[str, Tensor], may_lack: str | None) -> None:
    with reading(path, "weights in safetensors", advice=ADVICE), safe_open(path, "pt") as file:
        found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        shapes = {name: tuple(piece.get_shape()) for name, piece in found.items()}
        kinds = {name: piece.get_dtype() for name, piece in found.items()}
    lacks = [n for n in wanted if n not in found and not (may_lack is not None and n.startswith(may_lack))]
    wrong = lacks + [n for n in found if n not in wanted or shapes[n] != tuple(wanted[n].shape)]
    if wrong:
        raise _bad(path, f"does not fit its config.json ({len(wrong)} tensors differ, such as {wrong[0]})", "keys")
    for name, kind in kinds.items():
        if kind not in (_FLOATS if wanted[name].is_floating_point() else _INTEGERS):
            raise _bad(path, f"holds numbers of the kind {kind} in {name}", "wrong_dtype")


class _NoInitialValues(TorchFunctionMode):
    """Skips what would be drawn for tensors without memory; torch would load a second's worth of modules for it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        target = args[0] if args else kwargs.get("tensor")
        name = getattr(func, "__name__", "")
        if name.endswith("_") and not name.endswith("__") and isinstance(target, Tensor) and target.is_meta:
            return target
        return func(*args, **kwargs)


def _bad(path: Path, what: str, reason: str) -> BadFileError:
    return BadFileError(f"{path} {what}; {ADVICE}.", path=str(path), reason=reason)
