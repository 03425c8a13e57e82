"""Lists of samples: text files of `<scene>/<frame>` lines, each list with its size and checksum."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from panoptic3d.data.arrays import PathLike, read_start
from panoptic3d.data.published_lists import PUBLISHED_LISTS, published_name
from panoptic3d.data.reasons import bad_file
from panoptic3d.errors import InputError, reading
from panoptic3d.files import read_file

_LINE = re.compile(r"[^/\s]+/[^/\s]+")
_MAX_KEY = 400
_SPURIOUS_SUFFIX = ".mapped"  # of every line of the published Matterport3D test list


@dataclass(frozen=True)
class Split:
    """Distinct samples in the order of their file."""

    name: str
    keys: tuple[str, ...]
    sha256: str  # of the file's bytes, before lines are stripped
    path: Path | None = None
    published: str | None = None  # which published list the file is, to the byte

    def __len__(self) -> int:
        return len(self.keys)

    def describe(self) -> dict[str, str | int]:
        """As results carry it."""
        known = {} if self.published is None else {"published": self.published}
        return {"name": self.name, "sha256": self.sha256, "size": len(self), **known}


def find_split(root: PathLike, name_or_path: str) -> Split:
    """A path, or the name of ROOT/splits/NAME.txt or ROOT/NAME.txt (looked for in this order: name first, then path), or the
    name of a published list, such as `buol/front3d/validation`: the text file of either folder that is this list to the byte.
    """
    if name_or_path in PUBLISHED_LISTS:
        return _published_split(Path(root), name_or_path)
    named = [Path(root) / "splits" / f"{name_or_path}.txt", Path(root) / f"{name_or_path}.txt"]
    for path in (*named, Path(name_or_path)):
        if path.is_file():
            return read_split(path)
    known = ", ".join(split_names(root)) or "none"
    raise InputError(
        f"there is no split {name_or_path!r}: it is no file, and the splits of {root} are: {known}; "
        f"give one of these or the path of a text file with a line <scene>/<frame> for each sample."
    )


def _published_split(root: Path, name: str) -> Split:
    for path in sorted((*root.glob("splits/*.txt"), *root.glob("*.txt"))):
        if published_name(read_file(path)) == name:
            return read_split(path)
    raise InputError(f"no text file of {root} or {root / 'splits'} is the list {name!r}; put the published file there.")


def split_names(root: PathLike) -> list[str]:
    """Names of the splits in ROOT/splits, or without that folder of the text files in ROOT, as in the releases."""
    folder = Path(root) / "splits"
    folders = (folder,) if folder.is_dir() else (Path(root),)
    return sorted({path.stem for folder in folders for path in folder.glob("*.txt")})


def read_split(path: PathLike) -> Split:
    """Read a split. Malformed lines and repeated samples are refused; empty lines are skipped."""
    read_start(path)
    with reading(path, "a list of samples"):
        data = read_file(path)
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise bad_file(path, "not_text", expected="UTF-8 text", found=str(error)) from None
    first_line: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        key = line.strip().removesuffix(_SPURIOUS_SUFFIX)
        if not key:
            continue
        if not _LINE.fullmatch(key) or ".." in key.split("/") or not key.isprintable() or len(key) > _MAX_KEY:
            raise bad_file(path, "bad_line", expected="<scene>/<frame>", found=f"{line[:80]!r} in line {number}")
        if key in first_line:
            found = f"{key} in the lines {first_line[key]} and {number}"
            raise bad_file(path, "duplicate", expected="each sample once", found=found)
        first_line[key] = number
    if not first_line:
        raise bad_file(path, "empty", expected="samples", found="blank lines")
    return Split(
        Path(os.fspath(path)).stem,
        tuple(first_line),
        hashlib.sha256(data).hexdigest(),
        Path(path),
        published_name(data),
    )


def split_of_keys(name: str, keys: list[str]) -> Split:
    """A list that is on no disk, as if it were written one line each."""
    text = "".join(f"{key}\n" for key in keys)
    return Split(name, tuple(keys), hashlib.sha256(text.encode()).hexdigest())
