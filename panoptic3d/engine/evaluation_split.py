"""The list of images that a score is about: part of the score, so it is named, hashed and checked."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from panoptic3d.data.reasons import bad_file
from panoptic3d.errors import InputError

_LINE = re.compile(r"[^/\s]+/[^/\s]+")


@dataclass(frozen=True)
class EvaluationSplit:
    """Distinct `<scene>/<frame>` in the order of the file."""

    name: str
    sha256: str  # of the file's bytes
    keys: tuple[str, ...]
    duplicates: tuple[str, ...]  # listed more than once; each counts once

    @property
    def size(self) -> int:
        return len(self.keys)


def find_split(data_root: Path, name_or_file: str) -> Path:
    """A path, or the name of a list that lies with the data: ROOT/NAME.txt or ROOT/splits/NAME.txt."""
    places = [Path(name_or_file), data_root / f"{name_or_file}.txt", data_root / "splits" / f"{name_or_file}.txt"]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        tried = ", ".join(map(str, places))
        raise InputError(f"the split {name_or_file!r} is not there (looked at {tried}); give the path of a text file.")
    return found


def read_split(path: Path) -> EvaluationSplit:
    """Blank lines and lines that start with # are passed over; anything else must be `<scene>/<frame>`."""
    data = path.read_bytes()
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        raise bad_file(path, "not_text", expected="UTF-8 text", found="other bytes") from None
    entries = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    wrong = next((entry for entry in entries if not _LINE.fullmatch(entry)), None)
    if wrong is not None:
        raise bad_file(path, "bad_line", expected="lines of <scene>/<frame>", found=repr(wrong))
    if not entries:
        raise bad_file(path, "empty", expected="lines of <scene>/<frame>", found="none")
    counts = Counter(entries)
    duplicates = tuple(key for key, count in counts.items() if count > 1)
    return EvaluationSplit(path.stem, hashlib.sha256(data).hexdigest(), tuple(counts), duplicates)
