"""Writing files so that a reader never sees half of one, whatever kills the writer."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_TEMPORARY_PREFIX = ".partial-"


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Call `write` with a binary file; `path` afterwards holds all that it wrote, or what it held before.

    The temporary file lies in the same folder (a rename over file systems is a copy), is flushed to the disk before the
    rename, and carries a name of its own, so that two processes writing the same path leave one whole file.
    """
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp's 0600 would lock the colleagues out
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def write_bytes_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    write_atomically(path, lambda file: file.write(data))


def write_text_atomically(path: str | os.PathLike[str], text: str) -> None:
    write_bytes_atomically(path, text.encode())


def sweep_partial_files(folder: str | os.PathLike[str], older_than_s: float) -> int:
    """Delete what killed writers left behind; `older_than_s` spares the writers that are still alive."""
    import time

    num_swept = 0
    for orphan in partial_files(folder):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - orphan.stat().st_mtime > older_than_s:
                orphan.unlink()
                num_swept += 1
    return num_swept


def partial_files(folder: str | os.PathLike[str]) -> Iterator[Path]:
    return Path(folder).glob(f"{_TEMPORARY_PREFIX}*")


def sha256_of_file(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some network file systems refuse to open a folder; the rename is done by then
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
