"""Errors for the person who can act. The command line prints `str(error)` and leaves with `error.exit_code`."""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from typing import ClassVar


class Panoptic3dError(Exception):
    """The work failed although the call was right (a full disk, a lost rank, a metric without samples)."""

    exit_code: ClassVar[int] = 1


class InputError(Panoptic3dError):
    """The call or its input is wrong: the message says what was wrong, what was seen and what to do, in one sentence."""

    exit_code: ClassVar[int] = 2


class ConfigError(InputError):
    """A config file or an override is wrong; the message names the key's path."""


class MissingPartError(InputError):
    """An optional package is absent or does not work here; the message says how to get it."""


class BadFileError(InputError):
    """A data file is missing, unreadable or not what its place promises.

    `path` and `key` say where, `reason` is a stable slug (see `panoptic3d.data.verify`) that tests and reports count by.
    """

    def __init__(self, message: str, *, path: str, reason: str, key: str | None = None) -> None:
        super().__init__(message)
        self.path, self.key, self.reason = path, key, reason

    def __reduce__(self) -> tuple:
        """Survives the trip from a worker process: keyword-only arguments do not pickle by themselves."""
        return _rebuild_bad_file_error, (str(self), self.path, self.reason, self.key)


@contextlib.contextmanager
def explained_loss_of_workers(option: str) -> Iterator[None]:
    """A worker process that was killed becomes one sentence. `option` is the one that sets how many there are."""
    try:
        yield
    except BrokenExecutor as error:
        raise Panoptic3dError(
            f"a worker was killed, most often for want of memory; run the same command again with fewer {option}."
        ) from error


FOR_DATA_SETS = "restore the file or leave its sample out"


@contextlib.contextmanager
def reading(
    path: str | os.PathLike[str],
    expected: str = "a sound file",
    key: str | None = None,
    advice: str = FOR_DATA_SETS,
    passing: type[Panoptic3dError] | tuple[()] = (),
) -> Iterator[None]:
    """The one net around readers of files: whatever a decoder raises on a file is a `BadFileError` that names the file, so
    that callers know what to count and go on. Readers themselves catch nothing. Our own errors that
    name the file already pass.
    """
    try:
        yield
    except (BadFileError, MissingPartError):
        raise
    except passing:
        raise
    except Exception as error:
        raise _bad_file(path, expected, key, advice, error) from error


def _bad_file(
    path: str | os.PathLike[str], expected: str, key: str | None, advice: str, error: Exception
) -> BadFileError:
    reason, found = "corrupt", f"{type(error).__name__}: {' '.join(str(error).split())}"
    if isinstance(error, InputError):
        found = str(error).rstrip(".")
    elif isinstance(error, FileNotFoundError | NotADirectoryError):
        reason, found = "missing", "nothing"
    elif isinstance(error, EOFError):
        reason, found = "truncated", "an early end"
    elif isinstance(error, OSError) and error.errno is not None:
        reason, found = "unreadable", error.strerror or str(error)
    elif isinstance(error, MemoryError):
        reason, found = "too_large", "more than there is memory for"
    place = f"{os.fspath(path)}, key `{key}`" if key else os.fspath(path)
    message = f"{place}: expected {expected}, found {found} ({reason}); {advice}."
    return BadFileError(message, path=os.fspath(path), reason=reason, key=key)


def printable(text: str) -> str:
    """Names of files, as a terminal or a page may be given them: bytes that are not UTF-8, line breaks, escape sequences and
    marks that turn the direction of text are written out.
    """
    return "".join(c if c.isprintable() or c == _JOINER else _written_out(c) for c in text)


_JOINER = "\u200d"  # within emoji


def _written_out(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8, as `os.fsdecode` has it
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _rebuild_bad_file_error(message: str, path: str, reason: str, key: str | None) -> BadFileError:
    return BadFileError(message, path=path, reason=reason, key=key)
