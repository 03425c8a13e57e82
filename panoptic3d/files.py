"""Writing files and folders so that a reader never sees half of one, whatever kills the writer.

What is being written lies beside its place under a name of its own, `.partial-` and eight letters, and is renamed at the end.
Its writer holds a lock on it. A lock ends with its process, so whatever can be locked was left by a killed writer: the next
run deletes it, and leaves alone what other processes are writing.
"""

import contextlib
import ctypes
import errno
import functools
import hashlib
import io
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows: what a killed writer left is known by its age only
    fcntl = None

_PARTIAL = re.compile(r"\.partial-[a-z0-9_]{8}")
_RETIRED_PREFIX = ".retired-"
_STALE_S = 24 * 3600.0  # without file locks, a partial file older than this counts as abandoned
MOST_BYTES = 2 << 30  # limit for a file that is read at once; our own files are smaller
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Call `write` with a binary file; `path` afterwards holds all that it wrote, or what it held before.

    The temporary file lies in the same folder (a rename over file systems is a copy) and is flushed to the disk before the
    rename. Two processes that write the same path leave one whole file.
    """
    path = Path(path)
    _sweep_once(os.path.abspath(path.parent))
    with _partial(path.parent, _make_file) as partial:
        with open(partial, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    sync_folder(path.parent)


def write_bytes_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    write_atomically(path, lambda file: file.write(data))


def write_text_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8. File names that are not valid UTF-8 keep their bytes (`surrogateescape`)."""
    write_bytes_atomically(path, text.encode(errors="surrogateescape"))


@contextlib.contextmanager
def claimed(folder: Path, name: str, is_patient: bool = False) -> Iterator[bool]:
    """Whether this process alone may make what will be called `name` in `folder`, which must be there. A claim ends with its
    process. `is_patient` waits for it. Where there are no locks everybody gets it.
    """
    path = folder / f".partial-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    while True:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o666))
            lock = _lock(path, is_patient)
        except BlockingIOError:
            yield False
            return
        if lock is None or _is_same(path, lock):
            break
        os.close(lock)  # the previous owner has deleted the lock file
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
        if lock is not None:
            os.close(lock)


@contextlib.contextmanager
def partial_folder(parent: Path, names: Collection[str]) -> Iterator[Path]:
    """A folder to fill with files of these names and to put in its place by `put_in_place`; gone after the block."""
    with _partial(parent, os.mkdir, names) as partial:
        yield partial


def write_synced(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file and flush it to disk. Its folder is not visible to readers yet."""
    with open(path, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def put_in_place(partial: Path, target: Path, names: Collection[str]) -> None:
    """Give a folder its name. What has that name is replaced in one step where the system can exchange two names (Linux and
    macOS can), else in two: `recover_folders` completes them when a kill comes between.

    Of what is replaced only files of these names are deleted.
    """
    sync_folder(partial)
    if not os.path.lexists(target):
        os.rename(partial, target)
    elif exchange(partial, target):
        _retire(partial, target, names)
    else:
        _replace_in_two_steps(partial, target, names)
    sync_folder(target.parent)


def recover_folders(parent: Path, names: Collection[str]) -> None:
    """Complete or undo what killed writers left half done below `parent`. Writers that live are left alone."""
    for retired in _named(parent, lambda name: name.startswith(_RETIRED_PREFIX)):
        with _lock_of_orphan(retired, stale_s=60.0) as is_orphan:
            target = parent / retired.name.removeprefix(_RETIRED_PREFIX)
            if is_orphan and os.path.lexists(target):
                _retire(retired, target, names)
            elif is_orphan:  # killed between the two renames
                os.rename(retired, target)
    for partial in _named(parent, _is_partial_name):
        with _lock_of_orphan(partial) as is_orphan:
            if is_orphan:
                _discard(partial, names)


def sweep_partial_files(folder: str | os.PathLike[str]) -> int:
    """Delete the files that killed writers left behind."""
    num_swept = 0
    for orphan in partial_files(folder):
        with _lock_of_orphan(orphan) as is_orphan:
            if is_orphan:
                num_swept += _discard(orphan, ())
    return num_swept


@functools.cache
def _sweep_once(folder: str) -> None:
    """A process sweeps a folder the first time it writes there. `folder` is absolute."""
    sweep_partial_files(folder)


def partial_files(folder: str | os.PathLike[str]) -> Iterator[Path]:
    return (path for path in _named(Path(folder), _is_partial_name) if not path.is_dir())


def remove_folder(folder: Path, names: Collection[str]) -> bool:
    """Delete the files of these names and the folder. A folder with anything else keeps that, and stays."""
    for name in names:
        with contextlib.suppress(OSError):
            os.unlink(folder / name)
    with contextlib.suppress(OSError):
        os.rmdir(folder)
        return True
    return False


def exchange(path: Path, other: Path) -> bool:
    """Give two files or folders each other's name in one step. False where the system or the file system cannot."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            result = library.renamex_np(os.fsencode(path), os.fsencode(other), 2)  # RENAME_SWAP
        else:
            result = library.renameat2(
                -100, os.fsencode(path), -100, os.fsencode(other), 2
            )  # AT_FDCWD, RENAME_EXCHANGE
    except (AttributeError, OSError, TypeError):
        return False
    return result == 0


def open_file(
    path: str | os.PathLike[str], most_bytes: int = MOST_BYTES, folder: int | None = None, flags: int = 0
) -> io.BufferedReader:
    """Open a file and nothing that only looks like one: no pipe, which would be waited for, and no device, which has no end.

    `folder` is the descriptor of the folder in which `path` is looked up.
    """
    flags |= os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, dir_fd=folder)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size <= most_bytes:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if not stat.S_ISREG(status.st_mode):
        kind = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(kind, "no ordinary file", os.fspath(path))
    raise OSError(errno.EOVERFLOW, f"{status.st_size:,} bytes; at most {most_bytes:,} are read", os.fspath(path))


def open_regular(path: str | os.PathLike[str], folder: int | None = None) -> BinaryIO:
    """The same, and no link either."""
    return open_file(path, folder=folder, flags=getattr(os, "O_NOFOLLOW", 0))


def read_file(path: str | os.PathLike[str], most_bytes: int = MOST_BYTES) -> bytes:
    """All of a file of a user's or a stranger's."""
    with open_file(path, most_bytes) as file:
        return file.read(most_bytes)


def sha256_of_file(path: str | os.PathLike[str]) -> str:
    with open_file(path, sys.maxsize) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_full_disk(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def sync_folder(folder: Path) -> None:
    """Bring renames to the disk. Some network file systems refuse to open a folder; the rename is done by then."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _partial(parent: Path, make: Callable[[Path], object], names: Collection[str] = ()) -> Iterator[Path]:
    """A new file or folder with the permissions that the umask leaves, locked during the block and then gone."""
    path, lock = _new_partial(parent, make)
    try:
        yield path
    finally:
        _discard(path, names)
        if lock is not None:
            os.close(lock)


def _new_partial(parent: Path, make: Callable[[Path], object]) -> tuple[Path, int | None]:
    while True:
        path = parent / f".partial-{secrets.token_hex(4)}"
        try:
            make(path)
        except FileExistsError:
            continue
        lock = _lock(path, is_patient=True)
        if os.path.lexists(path):  # else another process took it for an orphan before it was locked
            return path, lock
        if lock is not None:
            os.close(lock)


def _make_file(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))


def _replace_in_two_steps(partial: Path, target: Path, names: Collection[str]) -> None:
    retired = target.with_name(f"{_RETIRED_PREFIX}{target.name}")
    lock = _lock(target, is_patient=True)
    try:
        os.rename(target, retired)
        try:
            os.rename(partial, target)
        except OSError:
            os.rename(retired, target)
            raise
        _retire(retired, target, names)
    finally:
        if lock is not None:
            os.close(lock)


def _retire(old: Path, target: Path, names: Collection[str]) -> None:
    """Delete the replaced folder. A foreign file that was added at the last moment is kept under a visible name."""
    if not remove_folder(old, names):
        os.rename(old, target.with_name(f"{target.name}-replaced-{secrets.token_hex(4)}"))


def _discard(path: Path, names: Collection[str]) -> bool:
    if path.is_dir() and not path.is_symlink():
        return remove_folder(path, names)
    with contextlib.suppress(OSError):
        os.unlink(path)
        return True
    return False


def _is_partial_name(name: str) -> bool:
    return _PARTIAL.fullmatch(name) is not None


def _named(folder: Path, is_wanted: Callable[[str], bool]) -> list[Path]:
    try:
        return sorted(folder / name for name in os.listdir(folder) if is_wanted(name))
    except OSError:
        return []


def _lock(path: Path, is_patient: bool) -> int | None:
    """A descriptor that holds the lock. None on systems without locks; `BlockingIOError` if another process holds it."""
    if fcntl is None:
        return None
    descriptor = None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        fcntl.flock(descriptor, fcntl.LOCK_EX if is_patient else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if descriptor is not None:
            os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return descriptor


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock of a file, until it is closed or its process ends. None where it cannot be had."""
    try:
        return _lock(path, is_patient=False)
    except BlockingIOError:
        return None


def _is_same(path: Path, descriptor: int) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    return False


@contextlib.contextmanager
def _lock_of_orphan(path: Path, stale_s: float = _STALE_S) -> Iterator[bool]:
    """Whether `path` is abandoned by its writer. Without file locks: whether it is old, or dated in the future."""
    try:
        lock = _lock(path, is_patient=False)
    except BlockingIOError:
        yield False
        return
    try:
        yield lock is not None or _is_stale(path, stale_s)
    finally:
        if lock is not None:
            os.close(lock)


def _is_stale(path: Path, stale_s: float) -> bool:
    with contextlib.suppress(OSError):
        return abs(time.time() - os.lstat(path).st_ctime) > stale_s
    return False
