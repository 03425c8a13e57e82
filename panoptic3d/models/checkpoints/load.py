"""From a folder with weights to a network, whatever its method: the `method` of its config.json says which."""

from pathlib import Path

from panoptic3d.config import validate_config
from panoptic3d.errors import BadFileError
from panoptic3d.models.buol.family import BUOL
from panoptic3d.models.checkpoints.family import load_folder as load_published
from panoptic3d.models.checkpoints.weights import CONFIG, load_network_of, read_config_tree
from panoptic3d.models.clearview.build import build_clearview
from panoptic3d.models.clearview.config import ClearviewConfig
from panoptic3d.models.panorecon.checkpoint.folder import load_folder as load_panorecon
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.uni3d.family import UNI3D


def load_network(folder: Path) -> Pipeline:
    """In evaluation mode, on the CPU."""
    tree = read_config_tree(folder)
    method = str(tree.get("method", ""))
    if method not in _LOADERS:
        message = f"{folder / CONFIG} names the method {method!r}; this version knows {', '.join(_LOADERS)}."
        raise BadFileError(message, path=str(folder), reason="method")
    return _LOADERS[method](folder)


def _load_clearview(folder: Path) -> Pipeline:
    config = validate_config(ClearviewConfig, read_config_tree(folder), origin=str(folder / CONFIG))
    return load_network_of(folder, lambda: build_clearview(config))


def _load_buol(folder: Path) -> Pipeline:
    return load_published(BUOL, folder)


def _load_uni3d(folder: Path) -> Pipeline:
    return load_published(UNI3D, folder)


_LOADERS = {"panorecon": load_panorecon, "clearview": _load_clearview, "uni3d": _load_uni3d, "buol": _load_buol}
