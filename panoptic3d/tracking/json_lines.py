"""Every record as a line of JSON: the follower that is always there, and the one that tests read."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from panoptic3d.files import write_text_atomically
from panoptic3d.tracking.tracker import Tracker


class JsonLines(Tracker):
    """Appends to a file. A run that goes on from step N first forgets what a killed one wrote after N."""

    def __init__(self, path: Path, from_step: int = 0) -> None:
        kept = [record for record in read_json_lines(path) if record["step"] <= from_step]
        write_text_atomically(path, "".join(_line(record) for record in kept))
        self._file = path.open("a", encoding="utf-8")

    def numbers(self, step: int, values: Mapping[str, float | int]) -> None:
        self._append({"step": step, **values})

    def table(self, step: int, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self._append({"step": step, "table": name, "columns": list(columns), "rows": [list(row) for row in rows]})

    def close(self) -> None:
        self._file.close()

    def _append(self, record: Mapping[str, Any]) -> None:
        self._file.write(_line(record))
        self._file.flush()


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Whole records; what a killed writer left of a last line is passed over."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            records.append(json.loads(line))
    return records


def _line(record: Mapping[str, Any]) -> str:
    """JSON knows no NaN: such numbers become null."""
    plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
    return json.dumps(plain, allow_nan=False) + "\n"
