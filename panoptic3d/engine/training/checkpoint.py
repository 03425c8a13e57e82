"""Checkpoints as folders: they appear as a whole, are verified by checksums, and are found again.

`CHECKPOINTS/step-00000500/` holds `model.safetensors`, `config.json` and `origin.json`, which `load_network` reads, the
state of the training `training.pt`, and `checksums.json`, written last. A folder under its own name is never written to.
"""

import functools
import json
import logging
import os
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors.torch import save
from torch import Tensor

from panoptic3d.errors import BadFileError, InputError, Panoptic3dError, reading
from panoptic3d.files import (
    partial_folder,
    put_in_place,
    read_file,
    recover_folders,
    remove_folder,
    sha256_of_file,
    write_synced,
)
from panoptic3d.models.checkpoints.folder import CONFIG, ORIGIN, WEIGHTS
from panoptic3d.models.checkpoints.weights import read_state

TRAINING, CHECKSUMS = "training.pt", "checksums.json"
FILES = frozenset((WEIGHTS, CONFIG, ORIGIN, TRAINING, CHECKSUMS))
_PARTIAL, _ASIDE = ".partial-", "aside-"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The saved state of a run. `weights` are those for prediction."""

    step: int
    weights: Mapping[str, Tensor]
    network_config: Mapping[str, Any]
    origin: Mapping[str, Any]
    training: Mapping[str, Any]  # numbers, texts, tensors and containers of them


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """All of it under its own name, or nothing, whatever kills the writer."""
    target = folder / f"step-{checkpoint.step:08d}"
    try:
        with partial_folder(folder, FILES) as partial:
            weights = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.weights.items()}
            write_synced(partial / WEIGHTS, lambda file: file.write(save(_unshared(weights))))
            write_synced(partial / CONFIG, lambda file: file.write(_json(checkpoint.network_config)))
            write_synced(partial / ORIGIN, lambda file: file.write(_json(checkpoint.origin)))
            write_synced(partial / TRAINING, functools.partial(save_with_torch, dict(checkpoint.training)))
            sums = {path.name: sha256_of_file(path) for path in sorted(partial.iterdir())}
            write_synced(partial / CHECKSUMS, lambda file: file.write(_json(sums)))
            put_in_place(partial, target, FILES)
    except OSError as error:
        raise Panoptic3dError(
            f"the checkpoint {target} cannot be written ({error.strerror or error}); make room there and start the same "
            "command again: it goes on from the checkpoint before."
        ) from error
    return target


def save_with_torch(content: Any, file: BinaryIO) -> None:
    """`torch.save` whose trouble with the disk is an `OSError`: torch makes a RuntimeError of it that names none."""
    watched = _WatchedFile(file)
    try:
        torch.save(content, watched)  # pyright: ignore[reportArgumentType]
    except RuntimeError as error:
        raise watched.error or error from error


class _WatchedFile:
    """Remembers the first error of writing."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        self._file.flush()


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
    """The problem of a damaged checkpoint; None for an intact one."""
    try:
        with reading(path, "a checkpoint", advice="take another"):
            sums = json.loads(read_file(path / CHECKSUMS))
            for name in (WEIGHTS, CONFIG, ORIGIN, TRAINING):
                if sha256_of_file(path / name) != sums[name]:
                    return f"{name} is not what was written"
    except BadFileError as error:
        return f"{type(error.__cause__).__name__}: {error.__cause__}"
    return None


def read_training(path: Path) -> dict[str, Any]:
    with reading(path / TRAINING, "the state of a training", advice="take another checkpoint"):
        return dict(torch.load(path / TRAINING, map_location="cpu", weights_only=True))


def read_weights(path: Path) -> dict[str, Tensor]:
    return read_state(path / WEIGHTS)


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


def set_aside(folder: Path, resumed: Path | None) -> list[Path]:
    """Make room for a run that continues from `resumed`: checkpoints it does not descend from are moved, not deleted.
    Those are the later ones, and all of them where it comes from elsewhere or begins anew. Returns where they are now.
    """
    own = resumed is not None and resumed.resolve().parent == folder.resolve()
    foreign = [path for path in all_checkpoints(folder) if not own or path.name > resumed.resolve().name]  # pyright: ignore
    if not foreign:
        return []
    numbers = (path.name.removeprefix(_ASIDE) for path in folder.glob(f"{_ASIDE}*"))
    aside = folder / f"{_ASIDE}{1 + max((int(n) for n in numbers if n.isdecimal()), default=0)}"
    aside.mkdir()
    for path in foreign:
        os.rename(path, aside / path.name)
    _repoint(folder, resumed.resolve() if own else None)  # pyright: ignore[reportOptionalMemberAccess]
    return [aside / path.name for path in foreign]


def prune(folder: Path, keep: int, best: str | None, written: Collection[str]) -> None:
    """Leave the newest `keep` intact ones and the best one. `written` names those that this process has written, which are
    intact and of which the last stays in any case. Folders with a file that is not ours are left alone.
    """
    num_intact = 0
    for path in all_checkpoints(folder):
        is_needed = num_intact < keep or path.name == best
        num_intact += path.name in written or (num_intact < keep and damage_of(path) is None)
        if not is_needed and {entry.name for entry in path.iterdir()} <= FILES:
            _discard(path)


def point(folder: Path, name: str, target: Path) -> None:
    """`folder/name`, a link to a checkpoint, changed in one go."""
    link = folder / f"{_PARTIAL}{name}"
    link.unlink(missing_ok=True)
    link.symlink_to(target.name)
    os.replace(link, folder / name)


def sweep(folder: Path) -> None:
    """Complete or delete what killed writers left. The caller must hold the run's lock."""
    recover_folders(folder, FILES)
    for link in folder.glob(f"{_PARTIAL}*"):
        if link.is_symlink():
            link.unlink()
    _repoint(folder, newest=None)


def _repoint(folder: Path, newest: Path | None) -> None:
    """No link points to a checkpoint that went elsewhere."""
    for name in ("latest", "best"):
        link = folder / name
        if link.is_symlink() and not link.exists():
            link.unlink()
    if newest is not None:
        point(folder, "latest", newest)


def _discard(path: Path) -> None:
    """Away under its own name at once: a half-deleted checkpoint must not look like one."""
    grave = path.parent / f"{_PARTIAL}{secrets.token_hex(4)}"
    os.rename(path, grave)
    remove_folder(grave, FILES)


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
