"""Mesh files as they come: OBJ with materials, GLB. Any axis, any unit, any fault."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int32
from PIL import Image

from panoptic3d.errors import BadFileError, reading
from panoptic3d.files import read_file

_GREY = (180, 180, 180, 255)


@dataclass(frozen=True, eq=False)
class RawMaterial:
    color: tuple[float, float, float]  # linear
    roughness: float = 0.6
    metallic: float = 0.0
    opacity: float = 1.0
    picture: bytes = b""  # PNG, at most 256 pixels wide


@dataclass(frozen=True, eq=False)
class RawMesh:
    vertices: Float[np.ndarray, "v 3"]
    triangles: Int32[np.ndarray, "t 3"]
    uv: Float[np.ndarray, "t 3 2"]  # repeats of the picture
    material_of: Int32[np.ndarray, " t"]
    materials: tuple[RawMaterial, ...]


def read_mesh(path: Path) -> RawMesh:
    """All pieces of a file in its own frame."""
    import trimesh

    with reading(path, "a mesh", advice="mend it or leave it out"):
        loaded = trimesh.load(_content(path), **_kind(path), force="scene", process=False)
        pieces = [
            piece for piece in trimesh.Scene(loaded).dump() if isinstance(piece, trimesh.Trimesh) and len(piece.faces)
        ]
    if not pieces:
        raise BadFileError(f"{path} holds no triangles.", path=str(path), reason="empty")
    starts = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    uv = []
    for piece in pieces:
        own = getattr(piece.visual, "uv", None)
        own = np.zeros((len(piece.vertices), 2)) if own is None or len(own) != len(piece.vertices) else np.asarray(own)
        uv.append(own[piece.faces])
    return RawMesh(
        np.concatenate([np.asarray(piece.vertices, dtype=np.float64) for piece in pieces]),
        np.concatenate([piece.faces + start for piece, start in zip(pieces, starts, strict=False)]).astype(np.int32),
        np.nan_to_num(np.concatenate(uv).astype(np.float64)),
        np.repeat(np.arange(len(pieces), dtype=np.int32), [len(piece.faces) for piece in pieces]),
        tuple(_material(getattr(piece.visual, "material", None)) for piece in pieces),
    )


def _content(path: Path) -> io.BytesIO:
    """Old OBJ files have names in Latin-1, of which trimesh can make nothing."""
    data = read_file(path)
    if path.suffix.lower() == ".obj":
        try:
            data.decode()
        except UnicodeDecodeError:
            data = data.decode("latin-1").encode()
    return io.BytesIO(data)


def _kind(path: Path) -> dict[str, Any]:
    from trimesh.resolvers import FilePathResolver

    return {"file_type": path.suffix.lower().lstrip("."), "resolver": FilePathResolver(str(path))}


def _material(found: object) -> RawMaterial:
    """Convert trimesh's two kinds of material: simple (OBJ, sRGB) and physically based (glTF, linear light)."""
    from trimesh.visual.color import to_rgba

    factor, diffuse = getattr(found, "baseColorFactor", None), getattr(found, "diffuse", None)
    stated = factor if factor is not None else diffuse
    rgba = np.asarray(to_rgba(_GREY if stated is None else stated), dtype=np.float64).ravel()[:4] / 255
    linear = (
        rgba[:3]
        if factor is not None
        else np.where(rgba[:3] <= 0.04045, rgba[:3] / 12.92, ((rgba[:3] + 0.055) / 1.055) ** 2.4)
    )
    r, g, b = linear.clip(0.005, 0.9).round(4).tolist()
    picture = getattr(found, "baseColorTexture", None) or getattr(found, "image", None)
    return RawMaterial(
        (1.0, 1.0, 1.0) if picture is not None else (r, g, b),
        float(_first(getattr(found, "roughnessFactor", None), 0.55)),
        float(_first(getattr(found, "metallicFactor", None), 0.0)),
        _opacity(found, float(rgba[3])),
        b"" if picture is None else _png(picture),
    )


def _opacity(found: object, otherwise: float) -> float:
    """OBJ's `d`, which trimesh keeps as a list of words."""
    stated = (getattr(found, "kwargs", None) or {}).get("d")
    try:
        return float(stated[0]) if stated else otherwise
    except (ValueError, TypeError):
        return otherwise


def _first(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _png(picture: Image.Image, most_px: int = 256) -> bytes:
    small = picture.convert("RGB")
    small.thumbnail((most_px, most_px))
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    return buffer.getvalue()
