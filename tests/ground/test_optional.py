import re
import sys
import tomllib
from pathlib import Path

import pytest

from panoptic3d import optional
from panoptic3d.errors import BadFileError, MissingPartError


def _part(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, source: str | None) -> None:
    if source is not None:
        (folder / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder))
    part = optional.OptionalPart(name, name, f"pip install {name}", "nothing")
    monkeypatch.setitem(optional.PARTS, name, part)
    monkeypatch.delitem(sys.modules, name, raising=False)


def test_an_absent_part_says_what_for_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _part(monkeypatch, tmp_path, "surely_absent", None)
    with pytest.raises(MissingPartError, match=r"tracking needs surely_absent, which is not installed; .*pip install"):
        optional.require("surely_absent", "tracking")
    assert optional.status("surely_absent") == ("absent", "pip install surely_absent")


@pytest.mark.parametrize("failure", ["RuntimeError('operator nms does not exist')", "ImportError('libcuda.so')"])
def test_a_broken_part_is_told_from_an_absent_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failure: str
) -> None:
    _part(monkeypatch, tmp_path, "surely_broken", f"raise {failure}")
    with pytest.raises(MissingPartError, match="is installed but does not import"):
        optional.require("surely_broken", "tracking")
    assert optional.status("surely_broken")[0] == "broken"


def test_a_working_part_is_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _part(monkeypatch, tmp_path, "surely_there", "answer = 42")
    assert optional.require("surely_there", "tracking").answer == 42
    assert optional.status("surely_there") == ("works", "version unknown")


def test_every_extra_brings_the_package_for_which_it_is_named(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extras = {
        name: {re.split("[>=<\\[;]", need)[0] for need in needs}
        for name, needs in project["optional-dependencies"].items()
    }
    named = set()
    for part in optional.PARTS.values():
        for extra in re.findall(r"panoptic3d\[(\w+)\]", part.how_to_get):
            assert part.distribution in extras[extra]
            named.add(extra)
    assert extras.keys() - named == {"docs", "dev"}  # an extra that no part needs would do nothing


def test_file_errors_survive_the_way_home_from_a_worker() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(BadFileError("bad", path="a/b", reason="empty", key="data")))
    assert (str(error), error.path, error.reason, error.key, error.exit_code) == ("bad", "a/b", "empty", "data", 2)
