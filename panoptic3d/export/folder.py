"""The folder of a scene: there as a whole or not at all, and never in the place of anything but a scene."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from panoptic3d.errors import InputError
from panoptic3d.files import partial_folder, put_in_place, recover_folders, write_synced
from panoptic3d.structures.scene_files import DELETABLE, SCENE_FILES, why_not_ours

_WRONG_PLACE = (errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR, errno.EINVAL)


class OutputError(InputError):
    """A result cannot be written to its place, because that place is wrong."""


class WriteFailedError(OutputError):
    """A right place takes nothing: a full disk, no permission, a disk that fails."""

    exit_code: ClassVar[int] = 1


_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


def write_folder_atomically(
    folder: str | os.PathLike[str], files: Mapping[str, bytes], overwrite: bool = False
) -> None:
    """Write all files of a scene into a sibling folder, then give it its name; what lay there is replaced only then, and only
    if it was a scene with nothing else in its folder.
    """
    assert set(files) <= set(SCENE_FILES), "a scene has a known list of files, which is what may be replaced"
    folder = Path(folder)
    check_place(folder, overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        recover_scenes(folder.parent)
        with partial_folder(folder.parent, DELETABLE) as partial:
            for name, data in files.items():
                write_synced(partial / name, lambda file, data=data: file.write(data))
            put_in_place(partial, folder, DELETABLE)
    except OSError as error:
        raise output_error(folder, error) from error


def check_place(folder: Path, overwrite: bool) -> None:
    """Refuse what would be lost, and say what it is."""
    try:
        if not os.path.lexists(folder):
            return
        if not overwrite:
            raise InputError(f"{folder} is there already; give another name, or ask to overwrite it.")
        reason = why_not_ours(folder)
    except OSError as error:
        raise output_error(folder, error) from error
    if reason is not None:
        raise InputError(f"{folder} is not replaced, since {reason}; only the folder of a scene is, give another name.")


def output_error(place: Path, error: OSError) -> OutputError:
    kind = OutputError if error.errno in _WRONG_PLACE else WriteFailedError
    where = f": {error.filename}" if error.filename and error.filename != os.fspath(place) else ""
    return kind(
        f"{place} cannot be written ({error.strerror or error}{where}); nothing was left there, "
        "choose another place or make room."
    )


def would_meet_all(error: OutputError, out: Path) -> bool:
    """Whether other results below `out` would fare no better, so that a run may end."""
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in _OF_THE_DISK:
        return True
    try:
        out.mkdir(parents=True, exist_ok=True)
        with partial_folder(out, ()):
            return False
    except OSError:
        return True


def recover_scenes(parent: Path) -> None:
    """Complete or sweep away what killed runs left half done in a folder of scenes."""
    recover_folders(parent, DELETABLE)
