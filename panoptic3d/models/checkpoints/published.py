"""Reading a published checkpoint without running anything that is in it: torch's `.pth`, or detectron2's plain `.pkl`."""

import io
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from panoptic3d.errors import BadFileError
from panoptic3d.files import read_file

# What a training run or a converter stores beside the weights; it says nothing about the network.
_BESIDE = ("optimizer", "scheduler", "lr_scheduler", "iteration", "start_iter", "__author__", "matching_heuristics")
# All that a pickle of numpy arrays needs to name.
_ARRAYS = {
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    *(("numpy", name) for name in ("ndarray", "dtype")),
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
}


@dataclass(frozen=True, eq=False)
class Published:
    """The state dict of a file, and what lay beside it."""

    path: Path
    state: dict[str, Tensor]
    beside: tuple[str, ...]


def read_published(path: Path, title: str, entry: str = "model", may_be_bare: bool = False) -> Published:
    """`torch.load(weights_only=True)`, or a pickle in which nothing but arrays may be named. `title` is the method's, `entry`
    that of the weights in its files; bare ones are nothing but weights.
    """
    content = _load(path, title)
    if not isinstance(content, Mapping):
        what = f"holds a {type(content).__name__}, not a dictionary with the entry `{entry}`"
        raise _bad(path, title, "foreign", what)
    if may_be_bare and content and (bare := _as_tensors(content)) is not None:
        return Published(path, bare, ())
    if entry not in content:
        seen = ", ".join(sorted(map(str, content))[:4]) or "nothing"
        raise _bad(path, title, "foreign", f"has no entry `{entry}` (it has {seen})")
    strange = [str(key) for key in content if key not in (entry, *_BESIDE)]
    if strange:
        raise _bad(path, title, "foreign", f"has the entries {', '.join(strange)}, which a {title} checkpoint has not")
    state = _as_tensors(content[entry])
    if state is None:
        raise _bad(path, title, "foreign", f"has an entry `{entry}` that is no dictionary of tensors")
    return Published(path, state, tuple(key for key in _BESIDE if key in content))


def pickled_arrays(state: Mapping[str, Tensor]) -> bytes:
    """The plain form, as detectron2 writes `.pkl` files."""
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    return pickle.dumps({"model": arrays, "__author__": "panoptic3d", "matching_heuristics": False})


def _as_tensors(state: Any) -> dict[str, Tensor] | None:
    if not isinstance(state, Mapping):
        return None
    tensors = {}
    for name, value in state.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "fi":
            value = torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape))
        if not isinstance(name, str) or not isinstance(value, Tensor):
            return None
        tensors[name] = value
    return tensors


def _load(path: Path, title: str) -> object:
    if not path.is_file():
        raise _bad(path, title, "missing", "is not there")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.suffix == ".pkl":
                return _ArraysOnly(io.BytesIO(read_file(path)), encoding="latin1").load()
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "Trying to" in str(error):  # a name to import, or a call
            raise _bad(path, title, "carries-code", "is a pickle that wants to run code, and was not run") from None
        raise _bad(path, title, "unreadable", "is cut short or no checkpoint of torch") from None
    except Exception:  # what torch and pickle say of a broken file has no end
        raise _bad(path, title, "unreadable", "is cut short or no checkpoint of torch") from None


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in _ARRAYS:
            raise pickle.UnpicklingError(f"GLOBAL {module_name}.{global_name}")
        return super().find_class(module_name, global_name)


def _bad(path: Path, title: str, reason: str, what: str) -> BadFileError:
    message = f"{path} {what}; give the published file of {title}."
    return BadFileError(message, path=str(path), reason=reason)
