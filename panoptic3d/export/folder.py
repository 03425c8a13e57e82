"""A folder of files that is there as a whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from panoptic3d.errors import InputError


class OutputError(InputError):
    """The place where results go cannot be written to: the next result would fare no better."""


PARTIAL_PREFIX = ".partial-"  # as panoptic3d.files names what killed writers leave behind


def write_folder_atomically(
    folder: str | os.PathLike[str], files: Mapping[str, bytes], overwrite: bool = False
) -> None:
    """Write all files into a sibling folder, then give it its name; what lay there before is replaced only then."""
    folder = Path(folder)
    if folder.exists() and not overwrite:
        raise InputError(f"{folder} is there already; give another name, or ask to overwrite it.")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file and no folder; give another name.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=folder.parent))
        try:
            _fill(partial, files)
            _put_in_place(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(
            f"{folder} cannot be written ({why}); nothing was left there, choose another place."
        ) from error


def is_scene_there(folder: Path) -> bool:
    """Scenes appear as a whole, so one file stands for all."""
    return (folder / "scene.json").exists()


def _fill(folder: Path, files: Mapping[str, bytes]) -> None:
    os.chmod(folder, 0o777 & ~_umask())  # mkdtemp's 0700 would lock the colleagues out
    for name, data in files.items():
        with open(folder / name, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _put_in_place(partial: Path, folder: Path) -> None:
    if not folder.exists():
        os.rename(partial, folder)
        return
    retired = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=folder.parent)) / "old"
    os.rename(folder, retired)
    try:
        os.rename(partial, folder)
    except OSError:
        with contextlib.suppress(OSError):
            os.rename(retired, folder)
        raise
    finally:
        shutil.rmtree(retired.parent, ignore_errors=True)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
