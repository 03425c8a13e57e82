"""Where furniture comes from: Sweet Home 3D's packages, 3D-FUTURE, or a folder with a table."""

import csv
import io
import json
import math
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from panoptic3d.errors import BadFileError, InputError, reading
from panoptic3d.files import read_file
from panoptic3d.rooms.assets.licences import UNKNOWN, licence_id

# From y up, front +z (as in Sweet Home 3D, 3D-FUTURE and glTF) to z up, front -y.
Y_UP = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
Z_UP = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
Matrix = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Candidate:
    """A model before it is read. `path` is relative to the opened source."""

    name: str
    path: str
    role: str
    class_name: str | None  # None: the role's own
    licence: str
    author: str
    source: str
    turn: Matrix
    size_m: tuple[float, float, float] | None = None  # width, depth, height; None: the file's own, in `unit_m`
    unit_m: float = 1.0
    top_m: float | None = None  # where smaller things may stand, if the catalogue says


@dataclass(frozen=True, eq=False)
class Source:
    """`opened()` gives the folder in which the candidates' paths are found."""

    name: str
    candidates: tuple[Candidate, ...]
    opened: Callable
    left_out: tuple[tuple[str, str], ...] = ()  # name and reason of what its catalogue says badly


def find_sources(path: Path) -> list[Source]:
    """By what lies there: `.sh3f` packages, a `model_info.json`, or a `models.csv`."""
    if path.is_file() and path.suffix == ".sh3f":
        return [sweet_home(path)]
    if not path.is_dir():
        raise InputError(f"{path} is neither a folder nor a .sh3f file; give where the furniture was installed.")
    packages = sorted(path.rglob("*.sh3f"))
    if packages:
        return [sweet_home(package) for package in packages]
    if (path / "model_info.json").is_file():
        return [future_3d(path)]
    if (path / "models.csv").is_file():
        return [table_folder(path)]
    raise InputError(
        f"{path} holds no .sh3f package, no model_info.json (3D-FUTURE) and no models.csv (docs/rooms.md says its columns)."
    )


def _each(rows: Iterable[dict], name_of: str, make: Callable[[dict], Candidate]) -> tuple[list, list]:
    """(candidates, what was left out): a bad row of a catalogue costs itself alone."""
    candidates, left_out = [], []
    for number, row in enumerate(rows, start=1):
        name = str(row.get(name_of) or f"row {number}") if isinstance(row, dict) else f"row {number}"
        try:
            with reading(name, "a row of a catalogue", advice="mend it"):
                candidates.append(make(row))
        except BadFileError as error:
            left_out.append((name, str(error)))
    return candidates, left_out


def _roles(table: str) -> dict[str, str]:
    """Our own tables beside this file, from a catalogue's name to a role; what is not in them is left out."""
    lines = (Path(__file__).parent / table).read_text(encoding="utf-8").splitlines()
    return {row[0]: row[1] for row in list(csv.reader(lines))[1:]}


def sweet_home(package: Path) -> Source:
    """A zip with PluginFurnitureCatalog.properties; sizes in centimetres, y up, front +z."""
    with reading(package, "a furniture package", advice="fetch it again"), zipfile.ZipFile(package) as archive:
        try:
            text = archive.read("PluginFurnitureCatalog.properties").decode("latin-1")
        except KeyError:
            raise InputError(
                f"{package} holds no PluginFurnitureCatalog.properties; it is no furniture package."
            ) from None
        notice = archive.read("LICENSE.TXT").decode("latin-1") if "LICENSE.TXT" in archive.namelist() else ""
    keys, rows = _properties(text)
    licence = licence_id(keys.get("license", ""))
    licence = licence_id(" ".join(notice.split())[:900]) if licence == UNKNOWN else licence
    roles = _roles("sweethome3d_roles.csv")
    candidates, left_out = _each(
        (row for row in rows if "model" in row),
        "model",
        lambda row: _sweet_home_candidate(package.stem, row, licence, roles),
    )

    @contextmanager
    def opened() -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(package) as archive:
            with reading(package, "a furniture package", advice="fetch it again"):
                archive.extractall(folder)  # zipfile itself refuses paths that lead outside
            yield Path(folder)

    return Source(package.stem, tuple(candidates), opened, tuple(left_out))


def _properties(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Keys without a number, and a mapping for each number."""
    keys: dict[str, str] = {}
    rows: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        match = re.match(r"\s*([A-Za-z]+)(?:#(\d+))?\s*[=:]\s*(.*)", line)
        if not match or line.lstrip().startswith(("#", "!")):
            continue
        value = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m.group(1), 16)), match.group(3)).strip()
        if match.group(2) is None:
            keys[match.group(1)] = value
        else:
            rows.setdefault(int(match.group(2)), {})[match.group(1)] = value
    return keys, [rows[number] for number in sorted(rows)]


def _sweet_home_candidate(package: str, row: dict[str, str], licence: str, roles: dict[str, str]) -> Candidate:
    stem = Path(row["model"]).stem
    width, depth, height = (float(row.get(key, "0") or 0) / 100 for key in ("width", "depth", "height"))
    if not all(0 <= size < math.inf for size in (width, depth, height)):
        raise ValueError(f"a size of {width} x {depth} x {height} m")
    turn = np.array(Y_UP)
    if "modelRotation" in row:
        turn = turn @ np.array([float(n) for n in row["modelRotation"].split()]).reshape(3, 3)
    top = float(row.get("dropOnTopElevation", "-1") or -1) / 100
    matrix = tuple((float(a), float(b), float(c)) for a, b, c in turn)
    return Candidate(
        f"{package}-{stem}",
        row["model"].lstrip("/"),
        roles.get(f"{package}/{stem}", ""),
        None,
        licence,
        row.get("creator", "") or package,
        package,
        matrix,
        (width, depth, height),
        top_m=top if top > 0 else None,
    )


def future_3d(folder: Path) -> Source:
    """`<model id>/raw_model.obj` in metres, y up, front +z; its terms allow non-commercial research only."""
    with reading(folder / "model_info.json", "a list of models", advice="fetch it again"):
        rows = list(json.loads(read_file(folder / "model_info.json")))
    roles, terms = _roles("future3d_roles.csv"), "non-commercial"

    def candidate(row: dict) -> Candidate:
        category, name = " ".join(str(row.get("category") or "").lower().split()), str(row["model_id"])
        role = roles.get(category, "")
        return Candidate(name, f"{name}/raw_model.obj", role, None, terms, "3D-FUTURE", "3D-FUTURE", Y_UP)

    candidates, left_out = _each(rows, "model_id", candidate)
    return Source("3D-FUTURE", tuple(candidates), _in_place(folder), tuple(left_out))


def table_folder(folder: Path) -> Source:
    """`models.csv`: file, role, licence, author; optional: name, class, up, width_m, depth_m, height_m, unit_m, source."""
    table = folder / "models.csv"
    with (
        reading(table, "a table of models", advice="mend it"),
        io.StringIO(read_file(table).decode(), newline="") as file,
    ):
        rows = list(csv.DictReader(file))
    missing = {"file", "role", "licence", "author"} - set(rows[0] if rows else ())
    if missing:
        raise InputError(f"{folder / 'models.csv'} lacks the columns {', '.join(sorted(missing))}.")
    candidates, left_out = _each(rows, "file", lambda row: _table_candidate(folder, row))
    return Source(folder.name, tuple(candidates), _in_place(folder), tuple(left_out))


def _table_candidate(folder: Path, row: dict[str, str]) -> Candidate:
    sizes = [_metres(row[key]) for key in ("width_m", "depth_m", "height_m") if row.get(key)]
    unit = _metres(row.get("unit_m") or "1")
    size = (sizes[0], sizes[1], sizes[2]) if len(sizes) == 3 else None
    licence = row["licence"] if is_named(row["licence"]) else licence_id(row["licence"])
    return Candidate(
        row.get("name") or Path(row["file"]).stem,
        row["file"],
        row["role"],
        row.get("class") or None,
        licence,
        row["author"],
        row.get("source") or folder.name,
        Z_UP if (row.get("up") or "y").lower() == "z" else Y_UP,
        size,
        unit,
    )


def _metres(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError(f"{text} metres")
    return value


def is_named(licence: str) -> bool:
    from panoptic3d.rooms.assets.licences import FREE

    return licence in FREE


def _in_place(folder: Path) -> Callable:
    @contextmanager
    def opened() -> Iterator[Path]:
        yield folder

    return opened
