"""A folder with `model.safetensors` and `config.json` to a network: for methods whose weights need no translation."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from panoptic3d.errors import BadFileError

WEIGHTS = "model.safetensors"


def load_weights(network: nn.Module, folder: Path) -> None:
    """Every tensor in its place, of whatever precision; a missing, foreign or misshapen one is named and nothing changes."""
    path = folder / WEIGHTS
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        message = f"{path} cannot be read ({error}); give a folder with a checkpoint."
        raise BadFileError(message, path=str(path), reason="unreadable") from None
    wanted = network.state_dict()
    wrong = sorted(wanted.keys() ^ state.keys())
    wrong += [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    if wrong:
        message = f"{path} does not fit its config.json ({len(wrong)} tensors differ, such as {wrong[0]})."
        raise BadFileError(message, path=str(path), reason="keys")
    network.load_state_dict(state)
