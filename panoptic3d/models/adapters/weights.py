"""A foreign state dict from a local file, without running anything that the file may carry."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from panoptic3d.errors import BadFileError


def read_state(path: Path) -> dict[str, Tensor]:
    """From safetensors, or from what `torch.save` wrote: a state dict, or one under `model` or `state_dict`."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        message = f"{path} cannot be read as weights ({' '.join(str(error).split())[:120]}); give a local state dict."
        raise BadFileError(message, path=str(path), reason="unreadable") from None
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        message = f"{path} holds no state dict; give a file of tensors by name."
        raise BadFileError(message, path=str(path), reason="unreadable")
    return state
