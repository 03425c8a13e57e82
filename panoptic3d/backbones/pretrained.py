"""Read weights of a trunk from a local file by others, without running code that it may contain."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from panoptic3d.errors import BadFileError, InputError

_NOT_OF_A_TRUNK = ("fc.", "classifier.", "head.")
_COUNTER = "num_batches_tracked"  # buffer of trainable batch norms; frozen ones have none


def load_torchvision_weights(trunk: nn.Module, file: str) -> None:
    """A state dict in torchvision's names. Its classifier is left aside; every tensor of the trunk must be there."""
    if not file:
        raise InputError(
            f"no pip package brings ImageNet weights of {type(trunk).__name__}; give imagenet_file, a state dict in the "
            "names of torchvision, or imagenet false."
        )
    path = Path(file)
    given = {name: t for name, t in read_state(path).items() if not name.startswith(_NOT_OF_A_TRUNK)}
    wanted = {name: t.shape for name, t in trunk.state_dict().items() if not name.endswith(_COUNTER)}
    wrong = [name for name in wanted if name not in given or given[name].shape != wanted[name]]
    wrong += [name for name in given if name not in wanted and not name.endswith(_COUNTER)]
    if wrong:
        message = (
            f"{path} does not hold the tensors of {type(trunk).__name__} ({len(wrong)} differ, such as {wrong[0]})."
        )
        raise BadFileError(message, path=str(path), reason="keys")
    trunk.load_state_dict({name: given[name] for name in wanted}, strict=False)


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
