"""What ADR 0009 counts: `python eval/speed/checkouts/counts.py CHECKOUT...` prints a table with a column for each checkout.

Counted in panoptic3d/**/*.py: asserts of the form `assert ... is not None`, calls of `cast`, asserts with `isinstance`,
modules with a process pool, modules that spell the name of a checkpoint's file, and lines. Modules that call a lift
themselves, and so drive the slots, are counted in eval/ as well.
"""

import re
import sys
from pathlib import Path

_POOL = re.compile(r"ProcessPoolExecutor\(|\.Pool\(|get_context\(|\bProcess\(")
_NAMES = re.compile(r"[\"'](?:model\.safetensors|config\.json|origin\.json|training\.pt)[\"']")
_LIFT = re.compile(r"\.lift\((?!coarse)|\bgather\(given")
ROWS = ("asserts `is not None`", "casts", "asserts `isinstance`", "modules with a process pool", "drives",
        "modules that spell a checkpoint file's name", "modules", "lines")  # fmt: skip


def counts(checkout: Path) -> dict[str, int]:
    library = {path: path.read_text() for path in sorted((checkout / "panoptic3d").rglob("*.py"))}
    around = [path.read_text() for path in sorted((checkout / "eval").rglob("*.py"))]

    def occurrences(pattern: str) -> int:
        return sum(len(re.findall(pattern, text, re.MULTILINE)) for text in library.values())

    values = (
        occurrences(r"^\s*assert .* is not None"),
        occurrences(r"\bcast\("),
        occurrences(r"^\s*assert isinstance\("),
        sum(bool(_POOL.search(text)) for text in library.values()),
        sum(bool(_LIFT.search(text)) for text in [*library.values(), *around]),
        sum(bool(_NAMES.search(text)) for text in library.values()),
        len(library),
        sum(text.count("\n") for text in library.values()),
    )
    return dict(zip(ROWS, values, strict=True))


if __name__ == "__main__":
    columns = [counts(Path(place)) for place in sys.argv[1:]]
    for row in ROWS:
        print("|", row, "|", " | ".join(f"{column[row]:,}" for column in columns), "|")
