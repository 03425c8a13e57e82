"""Checkpoints as folders that appear whole, prove themselves by checksums, and are found again.

`CHECKPOINTS/step-00000500/` holds `model.safetensors`, `config.json` and `origin.json`, which `load_network` reads, the
state of the training `training.pt`, and `checksums.json`, written last. A folder under its own name is never written to.
"""

import contextlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from panoptic3d.errors import BadFileError, InputError, Panoptic3dError
from panoptic3d.files import sha256_of_file

WEIGHTS, CONFIG, ORIGIN, TRAINING, CHECKSUMS = (
    "model.safetensors",
    "config.json",
    "origin.json",
    "training.pt",
    "checksums.json",
)
_PARTIAL, _RETIRED = ".partial-", ".retired-"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What is kept of a run. `weights` are those to predict with."""

    step: int
    weights: Mapping[str, Tensor]
    network_config: Mapping[str, Any]
    origin: Mapping[str, Any]
    training: Mapping[str, Any]  # numbers, texts, tensors and containers of them


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """All of it under its own name, or nothing, whatever kills the writer."""
    target = folder / f"step-{checkpoint.step:08d}"
    try:
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder))
        os.chmod(partial, 0o777 & ~_umask())  # mkdtemp's 0700 would lock the colleagues out
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.weights.items()}
        _write(partial / WEIGHTS, lambda file: file.write(save(_unshared(weights))))
        _write(partial / CONFIG, lambda file: file.write(_json(checkpoint.network_config)))
        _write(partial / ORIGIN, lambda file: file.write(_json(checkpoint.origin)))
        _write(partial / TRAINING, lambda file: torch.save(dict(checkpoint.training), file))
        sums = {path.name: sha256_of_file(path) for path in sorted(partial.iterdir())}
        _write(partial / CHECKSUMS, lambda file: file.write(_json(sums)))
        _sync(partial)
        _put_in_place(partial, target)
        _sync(folder)
    except OSError as error:
        raise Panoptic3dError(
            f"the checkpoint {target} cannot be written ({error.strerror or error}); make room there and start the same "
            "command again: it goes on from the checkpoint before."
        ) from error
    return target


def all_checkpoints(folder: Path) -> list[Path]:
    """The newest first, whole or damaged."""
    return sorted((path for path in folder.glob("step-*") if path.is_dir()), reverse=True)


def newest_intact(folder: Path) -> Path | None:
    """Damaged ones are named in the log and passed over."""
    for path in all_checkpoints(folder):
        damage = damage_of(path)
        if damage is None:
            return path
        _LOG.warning("the checkpoint %s is damaged and passed over: %s", path, damage)
    return None


def damage_of(path: Path) -> str | None:
    """What is wrong with a checkpoint, None where nothing is."""
    try:
        sums = json.loads((path / CHECKSUMS).read_text())
        for name in (WEIGHTS, CONFIG, ORIGIN, TRAINING):
            if sha256_of_file(path / name) != sums[name]:
                return f"{name} is not what was written"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def read_training(path: Path) -> dict[str, Any]:
    return torch.load(path / TRAINING, map_location="cpu", weights_only=True)


def read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path / WEIGHTS)
    except (OSError, SafetensorError) as error:
        message = f"{path / WEIGHTS} cannot be read ({error}); give a folder with weights."
        raise BadFileError(message, path=str(path), reason="unreadable") from None


def find_checkpoint(given: str) -> Path:
    """A checkpoint by its path, or the newest intact one of a run's folder."""
    path = Path(given)
    if (path / CHECKSUMS).exists():
        damage = damage_of(path)
        if damage is not None:
            raise BadFileError(f"the checkpoint {path} is damaged: {damage}.", path=given, reason="damaged")
        return path
    for folder in (path, path / "checkpoints"):
        found = newest_intact(folder)
        if found is not None:
            return found
    raise InputError(f"{given} is no checkpoint and no folder with an intact one; give `auto`, `never` or such a path.")


def prune(folder: Path, keep: int, best: str | None) -> None:
    """Leave the newest `keep` and the best one."""
    for path in all_checkpoints(folder)[keep:]:
        if path.name != best:
            _discard(path)


def point(folder: Path, name: str, target: Path) -> None:
    """`folder/name`, a link to a checkpoint, changed in one go."""
    link = folder / f"{_PARTIAL}{name}"
    link.unlink(missing_ok=True)
    link.symlink_to(target.name)
    os.replace(link, folder / name)


def sweep(folder: Path) -> int:
    """Delete what killed writers left. Only whoever holds the run's lock may call it."""
    for retired in folder.glob(f"{_RETIRED}*"):
        target = folder / retired.name.removeprefix(_RETIRED)
        if target.exists():
            shutil.rmtree(retired, ignore_errors=True)
        else:  # killed between the two renames
            os.rename(retired, target)
    orphans = list(folder.glob(f"{_PARTIAL}*"))
    for path in orphans:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(orphans)


def _put_in_place(partial: Path, target: Path) -> None:
    """What lay there before (a damaged one, or one of a run that went on from before it) is kept until it is replaced."""
    retired = target.parent / f"{_RETIRED}{target.name}"
    if target.exists():
        os.rename(target, retired)
    os.rename(partial, target)
    shutil.rmtree(retired, ignore_errors=True)


def _discard(path: Path) -> None:
    """Away under its own name at once: a half-deleted checkpoint must not look like one."""
    grave = path.parent / f"{_PARTIAL}old-{path.name}"
    shutil.rmtree(grave, ignore_errors=True)
    os.rename(path, grave)
    shutil.rmtree(grave, ignore_errors=True)


def _write(path: Path, write: Callable[[Any], object]) -> None:
    with open(path, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def _json(tree: Mapping[str, Any]) -> bytes:
    return (json.dumps(tree, indent=2, sort_keys=True) + "\n").encode()


def _unshared(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """safetensors refuses tensors that share memory, as tied weights do."""
    seen: set[int] = set()
    result = {}
    for name, tensor in weights.items():
        result[name] = tensor.clone() if tensor.untyped_storage().data_ptr() in seen else tensor
        seen.add(tensor.untyped_storage().data_ptr())
    return result


def _sync(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some network file systems refuse to open a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
