"""docs/architecture.md says what is there, and what is there is in docs/architecture.md."""

import re
import tomllib
from pathlib import Path


def _rooms_in_plan(repository: Path) -> list[set[str]]:
    text = (repository / "docs" / "architecture.md").read_text()
    section = text.split("## Floors")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d) \| ([^|]+) \|", section, re.MULTILINE)
    assert [int(number) for number, _ in rows] == [7, 6, 5, 4, 3, 2, 1]
    return [set(re.findall(r"`(\w+)`", rooms)) for _, rooms in rows]


def test_the_plan_names_every_room_and_no_other(repository: Path) -> None:
    package = repository / "panoptic3d"
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    files = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__", "version"}
    floors = _rooms_in_plan(repository)
    assert set.union(*floors[:-1]) == folders
    assert floors[-1] == files


def test_the_plan_is_the_import_contract(repository: Path) -> None:
    config = tomllib.loads((repository / "pyproject.toml").read_text())
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    contract = [{re.sub(r"[()\s]", "", name) for name in re.split(r"[|:]", layer)} for layer in layers]
    assert contract == _rooms_in_plan(repository)


def test_the_street_view_is_the_tree(repository: Path) -> None:
    text = (repository / "docs" / "architecture.md").read_text()
    places = re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)
    assert set(places) == {"panoptic3d", "configs", "data", "eval", "tests", "docs"}
    for place in places:
        assert (repository / place).is_dir()
    for file in ("README.md", "setup.py", "pyproject.toml", "Makefile", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"):
        assert (repository / file).is_file()
    assert (repository / "CITATION.cff").is_file()
    assert (repository / ".ci" / "run").is_file()


def test_every_test_folder_mirrors_a_room(repository: Path) -> None:
    rooms = {path.parent.name for path in (repository / "panoptic3d").glob("*/__init__.py")}
    folders = {path.parent.name for path in (repository / "tests").glob("*/__init__.py")}
    assert folders - {"ground", "oracle", "tales", "eval_race", "hostile", "strangers"} <= rooms


def test_adr_titles_and_numbers(repository: Path) -> None:
    names = sorted(path.name for path in (repository / "docs" / "adr").glob("*.md"))
    numbers = [int(name[:4]) for name in names]
    assert numbers == sorted(set(numbers))
    assert 1 in numbers
