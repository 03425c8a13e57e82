"""index.jsonl: one line a photo of all calls that wrote scenes into a folder."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from panoptic3d.errors import BadFileError, InputError, reading
from panoptic3d.export.folder import output_error
from panoptic3d.files import claimed, open_regular, write_text_atomically

INDEX = "index.jsonl"
_KEYS = {"photo", "scene", "error"}


def check_index(out: Path) -> None:
    """Refuse a folder that has a foreign file of the index's name, before any work."""
    read_index(out)


def read_index(out: Path) -> list[dict[str, Any]]:
    try:
        with reading(out / INDEX), open_regular(out / INDEX) as file:
            lines = [json.loads(line) for line in file.read().splitlines() if line.strip()]
    except BadFileError as error:
        if error.reason == "missing":
            return []
        raise _foreign(out, str(error.__cause__)) from None
    if not all(isinstance(line, dict) and line.keys() >= _KEYS for line in lines):
        raise _foreign(out, "other lines")
    return lines


def update_index(out: Path, records: Iterable[dict[str, Any]]) -> None:
    """Lines of this call replace older ones of the same photo or scene; those of other calls stay. Sorted by photo."""
    new = list(records)
    photos, scenes = {line["photo"] for line in new}, {line["scene"] for line in new} - {None}
    try:
        with claimed(out, INDEX, is_patient=True):
            old = [line for line in read_index(out) if line["photo"] not in photos and line["scene"] not in scenes]
            lines = sorted([*old, *new], key=lambda line: str(line["photo"]))
            write_text_atomically(out / INDEX, "".join(f"{_dumped(line)}\n" for line in lines))
    except OSError as error:
        raise output_error(out / INDEX, error) from error


def _dumped(line: dict[str, Any]) -> str:
    """Readable where the names are text; a name that is not UTF-8 is escaped, and `json.loads` gives its bytes back."""
    text = json.dumps(line, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(line)


def _foreign(out: Path, found: str) -> InputError:
    return InputError(
        f"{out / INDEX} is no list of scenes ({found}) and would be replaced; give another --out, or move it."
    )
