"""What the README and docs claim: links lead somewhere, examples run, commands parse, the site builds without a warning."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from eval.pages.write import pages_of
from panoptic3d.cli.main import VERBS, build_parser
from panoptic3d.errors import InputError

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^(?: {4}|\t)(?:\$ )?(panoptic3d .*)$", re.MULTILINE)


def _pages(repository: Path) -> list[Path]:
    return [repository / "README.md", *sorted((repository / "docs").rglob("*.md"))]


def test_every_link_leads_to_a_file(repository: Path) -> None:
    broken = [
        f"{page.relative_to(repository)}: {target}"
        for page in _pages(repository)
        for target in _LINK.findall(page.read_text())
        if not target.startswith(("http://", "https://", "#", "mailto:"))
        and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert broken == []


def _anchors(page: Path) -> set[str]:
    """Of the headings, as the site and GitHub make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_anchor_is_a_heading(repository: Path) -> None:
    broken = []
    for page in _pages(repository):
        for target in _LINK.findall(page.read_text()):
            path, mark, anchor = target.partition("#")
            if mark and not target.startswith("http") and (path.endswith(".md") or not path):
                other = page.parent / path if path else page
                if anchor not in _anchors(other):
                    broken.append(f"{page.name}: {target}")
    assert broken == []


def test_every_command_of_readme_and_quickstart_parses(repository: Path) -> None:
    commands = []
    for page in (
        "README",
        "docs/index",
        "docs/app",
        "docs/fine-tune",
        "docs/your-data",
        "docs/fusion",
        "docs/training",
    ):
        commands += _COMMAND.findall((repository / f"{page}.md").read_text())
    assert len(commands) >= 20
    for command in commands:
        words = shlex.split(command, comments=True)[1:]
        try:
            parsed = build_parser(words).parse_args(words)
        except InputError as error:
            raise AssertionError(f"{command}: {error}") from error
        assert callable(parsed.run)


def test_the_readme_names_what_is_there(repository: Path) -> None:
    text = (repository / "README.md").read_text()
    verbs = {verb.split()[0] for verb in VERBS}
    assert set(re.findall(r"`panoptic3d ([a-z-]+)", text)) <= verbs


def test_scores_of_the_readme_are_those_of_the_results(repository: Path) -> None:
    text = (repository / "README.md").read_text()
    race = json.loads((repository / "eval" / "results" / "race-300.json").read_text())
    for name in ("clearview", "clearview at PanoRecon's budget", "PanoRecon (corrected)"):
        assert f"{100 * race['entrants'][name]['results']['strict']['prq']:.2f}" in text
    row = re.search(r"\| 20 rooms of .*\| ([\d.]+) \| ([\d.]+) \|", text)
    assert row is not None
    for name, prq in zip(("any-camera", "tiny"), row.groups(), strict=True):
        card = (repository / "panoptic3d" / "weights" / name / "MODEL_CARD.md").read_text()
        assert re.search(rf"^\| strict \|.* {prq} \[", card, re.MULTILINE), (
            f"{name}: {prq} is not the score of its card"
        )


def test_pages_of_results_are_those_of_the_json_files(repository: Path) -> None:
    for name, text in pages_of(repository / "eval" / "results").items():
        page = repository / "docs" / "results" / name
        assert page.exists(), name
        assert page.read_text() == text, f"{page} is out of date; run python -m eval.pages.write"


def test_a_result_that_no_page_shows_is_named(tmp_path: Path, repository: Path) -> None:
    results = shutil.copytree(repository / "eval" / "results", tmp_path / "results")
    (results / "new.json").write_text("{}")
    with pytest.raises(InputError, match=r"no page shows new\.json"):
        pages_of(results)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_every_example_runs(page: str, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(repository / "data")
    blocks = _PYTHON.findall((repository / page).read_text())
    assert blocks
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "wall" in done.stdout


@pytest.mark.slow
def test_every_cell_of_the_notebook_runs(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(repository / "data")
    notebook = json.loads((repository / "docs" / "notebooks" / "quickstart.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 5
    done = subprocess.run([sys.executable, "-c", "\n\n".join(cells)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_site_builds_without_a_warning(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = {
        **os.environ,
        "NO_MKDOCS_2_WARNING": "1",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    pages = "".join(path.read_text() for path in (tmp_path / "site").rglob("*.html"))
    assert "PanopticScene" in pages
    assert not re.search(r'<(?:script|link|img)[^>]+(?:src|href)="https?://', pages)
