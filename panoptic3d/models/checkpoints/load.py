"""Load a network of any method from a checkpoint folder; `method` in its config.json names the method.

The folder may come from a stranger. Code of anybody else's package, of a method or of a filling, is imported only if `trust`
names that package.
"""

from pathlib import Path
from typing import Any

from panoptic3d.config import Config, validate_config
from panoptic3d.errors import BadFileError
from panoptic3d.models.checkpoints.folder import CONFIG, read_config_tree, read_origin
from panoptic3d.models.checkpoints.weights import load_network_of
from panoptic3d.models.methods import METHODS, config_kind_of, find_card
from panoptic3d.models.pipeline import Pipeline


def load_network(folder: Path, trust: tuple[str, ...] = (), config: Any = None) -> Pipeline:
    """In evaluation mode, on the CPU; under the folder's own config, or another one that has the same tensors.

    Where the weights were imported from a file of the 2D stage alone, the 3D stage keeps its fresh ones.
    """
    chosen = network_config_of(folder, trust) if config is None else config
    return load_network_of(folder, chosen.build, "voxel_net." if is_only_2d(folder) else None)


def network_config_of(folder: Path, trust: tuple[str, ...] = ()) -> Any:
    """A `Config` with `build()`."""
    tree, place = read_config_tree(folder), str(folder / CONFIG)
    name = str(tree.get("method", ""))
    card = find_card(name, trust)
    if card is None:
        message = f"{place} names the method {name!r}; this version knows {', '.join(METHODS)}."
        raise BadFileError(message, path=str(folder), reason="method")
    kind: type[Config] = config_kind_of(card)
    if "method" not in kind.model_fields:
        del tree["method"]  # which training wrote
    return validate_config(kind, tree, place, trust)


def is_only_2d(folder: Path) -> bool:
    """Weights that were trained here are whole."""
    return read_origin(folder).get("stages") == "2d"
