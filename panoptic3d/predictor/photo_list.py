"""Which photos a call names, and the folder of the scene of each one."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from panoptic3d.errors import InputError
from panoptic3d.predictor.scene_index import INDEX
from panoptic3d.structures.scene_files import ARRAYS, FACTS

# In a folder the ending decides what is tried; a file that is named is tried whatever its ending.
PICTURE_ENDINGS = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".heic", ".heif"),
    *(".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pnm"),
)


@dataclass(frozen=True)
class Order:
    photo: Path
    scene: str  # its folder below --out, such as `kitchen/0001`


def list_orders(words: Sequence[str | os.PathLike[str]], out: Path) -> list[Order]:
    """Named files as they come, folders with all below them in the order of names. `out` is not looked into.

    A photo's scene is called by its stem, below a folder by its path there. Photos that would share a name, such as `a.jpg`
    and `a.png`, keep their endings. Scenes that lie among the photos are passed over.
    """
    photos: dict[Path, PurePosixPath] = {}
    for word in words:
        path = Path(word)
        if _is_folder(path):
            for found in _photos_below(path, out):
                photos.setdefault(found, PurePosixPath(found.relative_to(path)))
        else:
            photos.setdefault(path, PurePosixPath(path.name or "photo"))
    return _named(photos)


def _named(photos: dict[Path, PurePosixPath]) -> list[Order]:
    short = {photo: name.with_name(_stem(name)) for photo, name in photos.items()}
    count = Counter(short.values())
    inner = {parent for name in photos.values() for parent in name.parents} | {PurePosixPath(INDEX)}
    names = {p: n if count[n] == 1 and n not in inner else photos[p] for p, n in short.items()}
    for name, photo in _repeated(names):
        raise InputError(f"{photo} and another photo would both become {name}; predict them into two folders.")
    return [Order(photo, str(name)) for photo, name in names.items()]


def _stem(name: PurePosixPath) -> str:
    """Never hidden: names such as `.` and `..` are places, and others that begin so are those of half-written scenes."""
    return f"photo{name.name}" if name.stem.startswith(".") else name.stem


def _repeated(names: dict[Path, PurePosixPath]) -> Iterator[tuple[PurePosixPath, Path]]:
    count = Counter(names.values())
    return ((name, photo) for photo, name in names.items() if count[name] > 1)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # an impossible file name; reading it reports the error
        return False


def _photos_below(folder: Path, out: Path) -> list[Path]:
    """Skip links to folders, because they may form loops, and hidden files and folders."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be listed ({error.strerror}); check its permissions.") from error

    found, own = [], out.resolve()
    for where, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and Path(where, f).resolve() != own)
        if FACTS in files and ARRAYS in files:  # a folder with a scene: skip its images
            continue
        found += [Path(where, f) for f in sorted(files) if not f.startswith(".") and _is_picture(f)]
    if not found:
        endings = ", ".join(PICTURE_ENDINGS)
        raise InputError(f"{folder} is a folder without photos ({endings}); give another one.")
    return found


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in PICTURE_ENDINGS
