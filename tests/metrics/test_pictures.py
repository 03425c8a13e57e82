"""The picture of the documentation shows what the code does."""

import importlib.util
from pathlib import Path


def test_the_picture_of_the_dialects_is_up_to_date(repository: Path) -> None:
    path = repository / "eval" / "pictures" / "dialects.py"
    spec = importlib.util.spec_from_file_location("dialects", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.TARGET.read_text() == module.draw(), f"run python {path.relative_to(repository)}"
