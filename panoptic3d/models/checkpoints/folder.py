"""File names of a checkpoint folder, and the origin of its weights."""

import json
import math
from pathlib import Path
from typing import Any

from panoptic3d.errors import ConfigError, reading
from panoptic3d.files import read_file, sha256_of_file

WEIGHTS, CONFIG, ORIGIN = "model.safetensors", "config.json", "origin.json"
ADVICE = "give a folder with a sound checkpoint, or import it again"
_MAX_CONFIG_BYTES, _MAX_NUMBER, _MAX_BUDGET = 1_000_000, 65_536, 1 << 40
_BUDGETS = ("_bytes", "_per_block")  # keys of memory to use, and not of the network's size


def checkpoint_facts(folder: Path) -> dict[str, Any]:
    """Two folders with the same weights and config have the same hashes, whatever their names."""
    weights, config = (sha256_of_file(folder / name) for name in (WEIGHTS, CONFIG))
    return {"name": folder.resolve().name, "sha256": weights, "config_sha256": config}


def read_config_tree(folder: Path) -> dict[str, Any]:
    """config.json as a mapping. A key given twice is an error, as in YAML, and so is a number that no network has."""
    path = folder / CONFIG
    with reading(path, "the config of a checkpoint", advice=ADVICE):
        tree = json.loads(read_file(path, _MAX_CONFIG_BYTES), object_pairs_hook=_without_repeats)
        if not isinstance(tree, dict):
            raise ValueError("no mapping of keys to values")
        _check_numbers(tree, "")
    return tree


def read_origin(folder: Path) -> dict[str, Any]:
    """The origin of the weights; empty if it was not recorded."""
    path = folder / ORIGIN
    with reading(path, "where a checkpoint comes from", advice=ADVICE):
        return dict(json.loads(read_file(path, _MAX_CONFIG_BYTES))) if path.exists() else {}


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        raise ValueError("a key is given twice")
    return tree


def _check_numbers(tree: Any, place: str) -> None:
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            _check_numbers(value, f"{place}.{key}".lstrip("."))
    elif isinstance(tree, int | float):
        limit = _MAX_BUDGET if place.endswith(_BUDGETS) else _MAX_NUMBER
        if not math.isfinite(tree) or abs(tree) > limit:
            raise ConfigError(f"{place} is {tree:g}; no network of ours has more than {limit:,} of anything.")
