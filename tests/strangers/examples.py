"""The examples of docs/extending.md as files: a fenced block whose first line names one."""

import re
from pathlib import Path

_BLOCK = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


def write_examples(folder: Path) -> None:
    for name, text in _BLOCK.findall(PAGE.read_text()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (path.parent / "__init__.py").touch()
