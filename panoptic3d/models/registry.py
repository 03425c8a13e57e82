"""From a folder with weights to a network, whatever its method: the `method` of its config.json says which."""

import json
from collections.abc import Mapping
from pathlib import Path

from panoptic3d.errors import BadFileError
from panoptic3d.models.panorecon.checkpoint.folder import load_folder as load_panorecon
from panoptic3d.models.pipeline import Pipeline

_LOADERS = {"panorecon": load_panorecon}
CONFIG = "config.json"


def load_network(folder: Path) -> Pipeline:
    """In evaluation mode, on the CPU."""
    method = _method_of(folder)
    if method not in _LOADERS:
        message = f"{folder / CONFIG} names the method {method!r}; this version knows {', '.join(_LOADERS)}."
        raise BadFileError(message, path=str(folder), reason="method")
    return _LOADERS[method](folder)


def _method_of(folder: Path) -> str:
    try:
        config = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError) as error:
        message = f"{folder / CONFIG} cannot be read ({error}); give a folder with a checkpoint."
        raise BadFileError(message, path=str(folder), reason="unreadable") from None
    return str(config.get("method", "")) if isinstance(config, Mapping) else ""
