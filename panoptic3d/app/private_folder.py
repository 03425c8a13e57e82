"""A temporary folder for uploaded photos. A folder that a killed server has left is deleted by the next one."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from panoptic3d.files import try_lock

_PREFIX, _LOCK = "panoptic3d-app-", ".lock"


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    _sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        unlocked = Path(name) / f"{_LOCK}-new"
        unlocked.touch()
        lock = try_lock(unlocked)
        unlocked.rename(Path(name) / _LOCK)  # so that the folder is never visible without its lock
        try:
            yield Path(name)
        finally:
            if lock is not None:
                os.close(lock)


def _sweep(parent: Path) -> None:
    """Delete the folders of our own servers that live no more: their locks can be had."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = None if folder.is_symlink() else try_lock(folder / _LOCK)
            if lock is None:
                continue
            if os.fstat(lock).st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
