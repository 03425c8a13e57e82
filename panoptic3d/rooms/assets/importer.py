"""A source becomes a library: read, mend, pose, decimate, pack, and account for every model."""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from panoptic3d.errors import BadFileError, InputError, reading
from panoptic3d.files import write_bytes_atomically, write_text_atomically
from panoptic3d.rooms.assets.library import LICENCES, check_library_place, pack_levels, write_index
from panoptic3d.rooms.assets.licences import Credit, is_allowed, licence_table
from panoptic3d.rooms.assets.mending import BrokenMeshError, cleaned, decimated, free_top, metric_uv, outward, posed
from panoptic3d.rooms.assets.raw import RawMesh, read_mesh
from panoptic3d.rooms.assets.sources import Candidate, find_sources
from panoptic3d.rooms.furniture.assemble import snapped
from panoptic3d.rooms.scene import TriangleMesh
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

LEVELS = (6000, 1500)
# Where the class is not what the role's name says, the release's habit decides (a big bookcase is `other`).
CLASS_OF_ROLE = {
    **dict.fromkeys(("double-bed", "single-bed", "bunk-bed"), "bed"),
    **dict.fromkeys(("dining-chair", "office-chair", "armchair", "stool"), "chair"),
    **dict.fromkeys(("sofa", "corner-sofa", "bench"), "sofa"),
    **dict.fromkeys(
        ("dining-table", "round-table", "coffee-table", "side-table", "console-table", "tv-stand"), "table"
    ),
    "desk": "desk",
    **dict.fromkeys(("wardrobe", "sideboard", "tall-cabinet", "kitchen-row", "wall-cupboard", "fridge"), "cabinet"),
    **dict.fromkeys(("dresser", "nightstand"), "dresser"),
    **dict.fromkeys(("floor-lamp", "table-lamp", "desk-lamp", "pendant", "ceiling-lamp"), "lamp"),
    **dict.fromkeys(
        ("bookcase", "ladder-shelf", "wall-shelf", "floor-plant", "small-plant", "picture", "mirror"), "other"
    ),
    **dict.fromkeys(
        ("clock", "television", "wall-television", "rug", "vase", "bowl", "book-stack", "storage-box"), "other"
    ),
    **dict.fromkeys(("cup", "candles", "photo-frame", "laptop", "monitor", "toy"), "other"),
}
# Roles on which layouts put things: without a level top such a model serves nothing.
_TOPPED = (
    *("nightstand", "side-table", "desk", "tv-stand", "coffee-table", "dining-table", "round-table"),
    *("sideboard", "dresser", "console-table", "tall-cabinet"),
)
_MUST_CARRY = ("nightstand", "desk", "tv-stand")
_UNFIT = r"[^\w .()+-]"  # for the name of a file
# Least and most width, depth and height in metres: a catalogue's slip of the unit ends here.
_PLAUSIBLE_M = (0.01, 4.5)


@dataclass
class ImportReport:
    entries: list[dict[str, Any]] = field(default_factory=list)
    credits: list[Credit] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    @property
    def num_by_role(self) -> dict[str, int]:
        roles = [entry["role"] for entry in self.entries]
        return {role: roles.count(role) for role in sorted(set(roles))}


def import_assets(
    source: Path,
    out: Path,
    also_allowed: Sequence[str] = (),
    watch: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> ImportReport:
    """Write the library and its licence table to `out`; every candidate is either in it or named with the reason."""
    check_library_place(out)
    report = ImportReport()
    sources = find_sources(source)
    (out / "models").mkdir(parents=True, exist_ok=True)
    (out / "textures").mkdir(exist_ok=True)
    for found in sources:
        wanted = []
        report.left_out += found.left_out
        for candidate in found.candidates:
            reason = _refusal(candidate, also_allowed)
            if reason:
                report.left_out.append((candidate.name, reason))
            else:
                wanted.append(candidate)
        if wanted:
            with found.opened() as folder:
                for candidate in watch(wanted, len(wanted)):
                    _import_one(candidate, folder, out, report)
    if not report.entries:
        raise InputError(f"nothing of {source} could be imported: {_reasons(report)}.")
    write_index(out, report.entries)
    write_text_atomically(out / LICENCES, licence_table(report.credits, report.left_out))
    return report


def _reasons(report: ImportReport) -> str:
    reasons = [why for _, why in report.left_out]
    return "; ".join(f"{reasons.count(why)} x {why}" for why in sorted(set(reasons))[:5]) or "it lists no models"


def _refusal(candidate: Candidate, also_allowed: Sequence[str]) -> str:
    if not candidate.role:
        return "its kind has no role in our rooms"
    if candidate.role not in CLASS_OF_ROLE:
        return f"the role {candidate.role!r} is not one of ours"
    if not is_allowed(candidate.licence, also_allowed):
        return f"its licence ({candidate.licence}) does not allow it"
    return ""


def _import_one(candidate: Candidate, folder: Path, out: Path, report: ImportReport) -> None:
    try:
        with reading(candidate.path, "a model of furniture", advice="mend it or leave it out"):
            entry, files = _entry(candidate, folder, len(report.entries))
    except BadFileError as error:
        why = error.__cause__ if isinstance(error.__cause__, BrokenMeshError) else error
        report.left_out.append((candidate.name, str(why)))
        return
    for name, data in files.items():  # outside of the `try`: a full disk is not the model's fault
        write_bytes_atomically(out / name, data)
    report.entries.append(entry)
    report.credits.append(Credit(candidate.name, candidate.role, candidate.author, candidate.licence, candidate.source))


def _entry(candidate: Candidate, folder: Path, number: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What the index says of a model, and its files. Their names change with what is in them, so that an older index stays
    right until a newer one takes its place.
    """
    path = (folder / candidate.path).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise BrokenMeshError("its file is not there.")
    mesh = posed(cleaned(read_mesh(path)), np.array(candidate.turn), candidate.size_m, candidate.unit_m)
    extent = np.ptp(mesh.vertices, axis=0)
    if not _PLAUSIBLE_M[0] <= extent.max() <= _PLAUSIBLE_M[1]:
        raise BrokenMeshError(f"its size {extent.round(2).tolist()} m is not that of furniture.")
    return _packed(candidate, mesh, number)


def _packed(candidate: Candidate, mesh: RawMesh, number: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    levels = [decimated(mesh, most) for most in LEVELS]
    if np.abs(np.ptp(levels[0].vertices, axis=0) - np.ptp(mesh.vertices, axis=0)).max() > 0.03:
        raise BrokenMeshError("it loses its shape when decimated.")
    top = None
    if candidate.role in _TOPPED:
        height = candidate.top_m or float(mesh.vertices[:, 2].max())
        top = free_top(levels[0], height) or free_top(levels[0], float(mesh.vertices[:, 2].max()))
        if top is None and candidate.role in _MUST_CARRY:
            raise BrokenMeshError("it has no level top to put things on.")
    _, scales = metric_uv(mesh)
    data, facts = pack_levels([_triangle_mesh(level, scales) for level in levels])
    stem = f"{number:04d}-{re.sub(_UNFIT, '_', candidate.name)[:80]}"
    model = f"models/{stem}-{_short_hash(data)}.p3dm"
    pictures = {
        k: f"textures/{stem}-{k}-{_short_hash(m.picture)}.png" for k, m in enumerate(mesh.materials) if m.picture
    }
    files = {model: data, **{name: mesh.materials[k].picture for k, name in pictures.items()}}
    entry = {
        "name": candidate.name,
        "role": candidate.role,
        "class": _class_of(candidate),
        "licence": candidate.licence,
        "author": candidate.author,
        "source": candidate.source,
        "file": model,
        "size_m": np.ptp(mesh.vertices, axis=0).round(4).tolist(),
        "front": "-y",
        "tops": [] if top is None else [top],
        "levels": facts,
        "materials": [_material_fields(mesh, k, scales[k], pictures.get(k, "")) for k in range(len(mesh.materials))],
    }
    return entry, files


def _short_hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]


def _class_of(candidate: Candidate) -> str:
    name = candidate.class_name or CLASS_OF_ROLE[candidate.role]
    if name not in {c.name for c in FRONT3D_TAXONOMY.classes}:
        raise BrokenMeshError(f"its class {name!r} is not one of the taxonomy.")
    return name


def _triangle_mesh(mesh: RawMesh, scales: list[float]) -> TriangleMesh:
    uv = mesh.uv * np.array(scales)[mesh.material_of][:, None, None]
    shift = np.floor(mesh.uv.mean(axis=1, keepdims=True)) * np.array(scales)[mesh.material_of][:, None, None]
    return TriangleMesh(
        snapped(mesh.vertices),
        outward(mesh.triangles, mesh.vertices),
        mesh.material_of.astype(np.int32),
        snapped(uv - shift),
    )


def _material_fields(mesh: RawMesh, index: int, scale_m: float, file: str) -> dict[str, Any]:
    material = mesh.materials[index]
    return {
        "color": list(material.color),
        "roughness": round(material.roughness, 3),
        "metallic": round(material.metallic, 3),
        "transmission": round(max(0.0, 1.0 - material.opacity), 3),
        "file": file,
        "scale_m": scale_m,
    }
