"""A folder of furniture: `library.json` and one compressed file a model. Written once, read by layouts.

A `.p3dm` file is zstd over, level by level: vertices as uint16 within the bounding box, triangles, materials, texture
coordinates; sizes and counts are in `library.json`. Reading gives the same bytes on every machine.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from panoptic3d.errors import InputError, reading
from panoptic3d.files import read_file, write_bytes_atomically
from panoptic3d.rooms.scene import Material, Model, TriangleMesh
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

FORMAT = 1
INDEX, LICENCES = "library.json", "LICENCES.md"
_FOLDERS = ("models", "textures")
_ADVICE = "import the library again"
_MAX_BYTES = 256_000_000  # of a model
_STEPS = 65_535


@dataclass(frozen=True, eq=False)
class Library:
    """Models by role, read when they are drawn."""

    folder: Path
    entries: tuple[dict[str, Any], ...]
    level: int = 0  # 0 is the finest

    def draw(self, role: str, random: np.random.Generator) -> Model | None:
        """A random model of the role, with equal probabilities; None if the library has none."""
        own = [entry for entry in self.entries if entry["role"] == role]
        return self.read(own[int(random.integers(len(own)))]) if own else None

    def read(self, entry: dict[str, Any]) -> Model:
        return _read_model(self.folder, json.dumps(entry, sort_keys=True), self.level)

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(sorted({entry["role"] for entry in self.entries}))


def open_library(folder: Path, level: int = 0) -> Library:
    path = folder / INDEX
    if not path.exists():
        raise InputError(
            f"{folder} is no furniture library (no {INDEX}); make one with `panoptic3d data assets SOURCE --out DIR`."
        )
    with reading(path, "the list of a furniture library", advice=_ADVICE):
        index = json.loads(read_file(path))
        if index["format"] != FORMAT:
            raise ValueError(f"format {index['format']!r}, where this program reads {FORMAT}")
        for entry in index["models"]:
            _check(entry)
        return Library(folder, tuple(index["models"]), level)


def check_library_place(folder: Path) -> None:
    """Only a new or empty folder takes a library, and one that holds a library, whole or begun, and nothing else."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give another --out.")
    names = {name for name in os.listdir(folder) if not name.startswith(".")}
    foreign = sorted(names - {*_FOLDERS, INDEX, LICENCES})
    if INDEX in names:
        open_library(folder)
    elif LICENCES in names:
        foreign.append(LICENCES)
    for part in names & {*_FOLDERS}:
        foreign += [f"{part}/{path.name}" for path in sorted((folder / part).iterdir()) if not _is_ours(path)]
    if foreign:
        raise InputError(f"{folder} holds {foreign[0]!r}, which is no file of a furniture library; give a new folder.")


def _is_ours(path: Path) -> bool:
    return path.name.startswith(".") or path.suffix in (".p3dm", ".png")


def _check(entry: dict[str, Any]) -> None:
    """That it says what a layout asks for, and names no file outside of the library."""
    for file in (entry["file"], *(material["file"] for material in entry["materials"])):
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
            raise ValueError(f"the file {file!r} outside of it")
    if not isinstance(entry["role"], str) or len(entry["levels"]) < 1:
        raise ValueError("a model without a role or without levels")


def pack_levels(levels: Sequence[TriangleMesh]) -> tuple[bytes, list[dict[str, Any]]]:
    """The file of a model and, a level, what is needed to read it again."""
    import zstandard

    chunks, facts = [], []
    for mesh in levels:
        assert mesh.uv_m is not None
        low, high = mesh.vertices_m.min(axis=0).astype(np.float64), mesh.vertices_m.max(axis=0).astype(np.float64)
        uv_low, uv_high = mesh.uv_m.min(axis=(0, 1)).astype(np.float64), mesh.uv_m.max(axis=(0, 1)).astype(np.float64)
        chunks += [
            _quantised(mesh.vertices_m, low, high).T.tobytes(),
            mesh.triangles.astype("<u4").T.tobytes(),
            mesh.material_of.astype("<u1").tobytes(),
            _quantised(mesh.uv_m.reshape(-1, 2), uv_low, uv_high).T.tobytes(),
        ]
        facts.append(
            {
                "vertices": len(mesh.vertices_m),
                "triangles": len(mesh.triangles),
                "low": low.tolist(),
                "high": high.tolist(),
                "uv_low": uv_low.tolist(),
                "uv_high": uv_high.tolist(),
            }
        )
    return zstandard.ZstdCompressor(level=19).compress(b"".join(chunks)), facts


def _quantised(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    span = np.where(high > low, high - low, 1.0)
    return np.round((values - low) / span * _STEPS).astype("<u2")


def _restored(steps: np.ndarray, low: list[float], high: list[float]) -> np.ndarray:
    a, b = np.array(low), np.array(high)
    return (a + steps.astype(np.float64) / _STEPS * np.where(b > a, b - a, 0.0)).astype(np.float32)


def write_index(folder: Path, entries: Sequence[dict[str, Any]]) -> None:
    text = json.dumps({"format": FORMAT, "models": list(entries)}, indent=1, sort_keys=True)
    write_bytes_atomically(folder / INDEX, text.encode())


@lru_cache(maxsize=256)
def _read_model(folder: Path, entry_text: str, level: int) -> Model:
    entry = json.loads(entry_text)
    path = folder / entry["file"]
    with reading(path, "a model of a furniture library", advice=_ADVICE):
        mesh = _unpack(_inflated(path, entry["levels"]), entry["levels"], min(level, len(entry["levels"]) - 1))
        materials = tuple(_material(folder, fields) for fields in entry["materials"])
        tops = tuple((z, (r[0], r[1], r[2], r[3])) for z, r in entry["tops"])
        class_id = FRONT3D_TAXONOMY.id_of(entry["class"])
        return Model(entry["name"], entry["role"], class_id, mesh, materials, tops, entry["licence"], entry["author"])


def _inflated(path: Path, levels: list[dict[str, Any]]) -> bytes:
    """Never more than the list says; a few bytes of zstandard may unpack to gigabytes."""
    import zstandard

    size = sum(facts["vertices"] * 6 + facts["triangles"] * (12 + 1 + 12) for facts in levels)
    stored = read_file(path)
    if zstandard.frame_content_size(stored) not in (-1, size) or size > _MAX_BYTES:
        raise ValueError(f"a model that does not unpack to {size:,} bytes")
    return zstandard.ZstdDecompressor().decompress(stored, max_output_size=size)


def _unpack(data: bytes, levels: list[dict[str, Any]], level: int) -> TriangleMesh:
    at = 0
    for facts in levels[:level]:
        at += facts["vertices"] * 6 + facts["triangles"] * (12 + 1 + 12)
    facts = levels[level]
    v, t = facts["vertices"], facts["triangles"]
    points = np.frombuffer(data, "<u2", 3 * v, at).reshape(3, v).T
    triangles = np.frombuffer(data, "<u4", 3 * t, at + 6 * v).reshape(3, t).T
    material_of = np.frombuffer(data, "<u1", t, at + 6 * v + 12 * t)
    uv = np.frombuffer(data, "<u2", 6 * t, at + 6 * v + 13 * t).reshape(2, 3 * t).T
    return TriangleMesh(
        _restored(points, facts["low"], facts["high"]),
        np.ascontiguousarray(triangles.astype(np.int32)),
        material_of.astype(np.int32),
        _restored(uv, facts["uv_low"], facts["uv_high"]).reshape(t, 3, 2),
    )


def _material(folder: Path, fields: dict[str, Any]) -> Material:
    r, g, b = fields["color"]
    file = str(folder / fields["file"]) if fields["file"] else ""
    return Material(
        (r, g, b),
        "file" if file else "plain",
        scale_m=fields["scale_m"],
        roughness=fields["roughness"],
        metallic=fields["metallic"],
        transmission=fields["transmission"],
        file=file,
    )
