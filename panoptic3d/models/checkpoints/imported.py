"""The folder that an import of published weights writes."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from panoptic3d.config import Config, canonical_json
from panoptic3d.errors import InputError
from panoptic3d.files import write_bytes_atomically
from panoptic3d.models.checkpoints.folder import CONFIG, ORIGIN, WEIGHTS


def write_import(out: Path, origin: Mapping[str, Any], state: Mapping[str, Tensor], config: Config) -> None:
    """Write origin, weights, and last the config. A folder without a config is not a checkpoint, so whatever kills
    the writer, nobody takes a half import for a whole one.
    """
    texts = {
        ORIGIN: (json.dumps(origin, indent=2) + "\n").encode(),
        CONFIG: (json.dumps(json.loads(canonical_json(config)), indent=2) + "\n").encode(),
    }
    _check_place(out, texts)
    out.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(out / ORIGIN, texts[ORIGIN])
    write_bytes_atomically(out / WEIGHTS, save({name: tensor.contiguous() for name, tensor in state.items()}))
    write_bytes_atomically(out / CONFIG, texts[CONFIG])


def _check_place(out: Path, texts: Mapping[str, bytes]) -> None:
    """Only a new or empty folder takes an import, and one with the same import, whole or begun."""
    if not os.path.lexists(out):
        return
    if not out.is_dir():
        raise InputError(f"{out} is no folder; give another --out.")
    names = [name for name in os.listdir(out) if not name.startswith(".")]
    foreign = [name for name in names if name not in (ORIGIN, WEIGHTS, CONFIG)]
    foreign += [name for name, text in texts.items() if name in names and not _is(out / name, text)]
    foreign += [name for name in names if ORIGIN not in names]
    if foreign:
        raise InputError(f"{out} holds {foreign[0]!r}, which this import did not write; give a new folder.")


def _is(path: Path, text: bytes) -> bool:
    return path.is_file() and path.read_bytes() == text
