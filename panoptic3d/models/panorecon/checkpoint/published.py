"""Reading a published `.pth` without running anything that is in it."""

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from panoptic3d.errors import BadFileError

# What a training run stores beside the weights; it says nothing about the network.
_BESIDE = ("optimizer", "scheduler", "iteration")


@dataclass(frozen=True, eq=False)
class Published:
    """The state dict of a file, and what lay beside it."""

    path: Path
    state: dict[str, Tensor]
    beside: tuple[str, ...]


def read_published(path: Path) -> Published:
    """`torch.load(weights_only=True)` and nothing else: a pickle that carries code is refused before it runs."""
    content = _load(path)
    if not isinstance(content, Mapping):
        raise _bad(path, "foreign", f"holds a {type(content).__name__}, not a dictionary with the entry `model`")
    if "model" not in content:
        seen = ", ".join(sorted(map(str, content))[:4]) or "nothing"
        raise _bad(path, "foreign", f"has no entry `model` (it has {seen})")
    strange = [str(key) for key in content if key not in ("model", *_BESIDE)]
    if strange:
        raise _bad(path, "foreign", f"has the entries {', '.join(strange)}, which a PanoRecon checkpoint has not")
    state = content["model"]
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    ):
        raise _bad(path, "foreign", "has an entry `model` that is no dictionary of tensors")
    return Published(path, dict(state), tuple(key for key in _BESIDE if key in content))


def _load(path: Path) -> object:
    if not path.is_file():
        raise _bad(path, "missing", "is not there")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "Trying to" in str(error):  # a name to import, or a call
            raise _bad(path, "carries-code", "is a pickle that wants to run code, and was not run") from None
        raise _bad(path, "unreadable", "is cut short or no checkpoint of torch") from None
    except Exception:  # what torch and pickle say of a broken file has no end
        raise _bad(path, "unreadable", "is cut short or no checkpoint of torch") from None


def _bad(path: Path, reason: str, what: str) -> BadFileError:
    message = f"{path} {what}; give the published .pth file of PanoRecon."
    return BadFileError(message, path=str(path), reason=reason)
