"""The files of a scene on disk (docs/scenes-on-disk.md): their names, and safe reading of untrusted ones."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from panoptic3d.errors import BadFileError, reading
from panoptic3d.files import open_regular, sha256_of_file

FACTS, PAGE, PREVIEW, ARRAYS = "scene.json", "index.html", "preview.png", "scene.npz"
REQUIRED_FILES = (ARRAYS, "scene.glb", FACTS, PREVIEW, PAGE)
MAP_FILES = ("depth.exr", "panoptic.png", "panoptic.json", "points.ply")  # of `predict --maps`
SCENE_FILES = (*REQUIRED_FILES, *MAP_FILES)
MARK = "format_version"  # a key of every scene.json
_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # files that operating systems leave in folders
DELETABLE = frozenset(SCENE_FILES) | _LITTER  # when a scene is replaced
_MAX_FACTS_BYTES = 64_000_000


def read_facts(folder: Path) -> dict[str, Any]:
    """scene.json as a mapping, or `BadFileError`."""
    path = folder / FACTS
    try:
        with reading(path):
            with open_regular(path) as file:
                data = file.read(_MAX_FACTS_BYTES + 1)
            if len(data) > _MAX_FACTS_BYTES:
                raise ValueError(f"more than {_MAX_FACTS_BYTES:,} bytes")
            facts = json.loads(data)
            if not isinstance(facts, dict):
                raise ValueError("no JSON object")
            return facts
    except BadFileError as error:
        cause = error.__cause__
        raise _bad(path, getattr(cause, "strerror", None) or str(cause)) from None


def missing_files(folder: Path) -> list[str]:
    """Names of required files that a scene lacks. Scenes are written as a whole, so these were removed later."""
    return [name for name in REQUIRED_FILES if not is_file(folder / name)]


def hashes_of(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of every file except scene.json, which lists them."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != FACTS}


def changed_files(folder: Path, hashes: Mapping[str, str]) -> list[str]:
    """Files that are not what was written."""
    return [name for name, sha256 in hashes.items() if name in SCENE_FILES and sha256_of_file(folder / name) != sha256]


def why_not_ours(folder: Path) -> str | None:
    """What speaks against replacing what lies at `folder`; None for a scene without other files and for an empty folder."""
    if folder.is_symlink():
        return "it is a link"
    if not folder.is_dir():
        return "it is no folder"
    names = sorted(set(os.listdir(folder)) - _LITTER)
    foreign = [name for name in names if name not in SCENE_FILES or not is_file(folder / name)]
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        return f"it holds {foreign[0]!r}{more}, which is no file of a scene"
    if not names:
        return None
    try:
        facts = read_facts(folder)
    except BadFileError as error:
        return str(error).rstrip(".")
    return None if MARK in facts else f"its {FACTS} was not written by panoptic3d"


def is_file(path: Path) -> bool:
    """An ordinary file, no link to one."""
    return path.is_file() and not path.is_symlink()


def _bad(path: Path, found: str) -> BadFileError:
    return BadFileError(f"{path} is not the {FACTS} of a scene ({found}).", path=str(path), reason="not_scene")
