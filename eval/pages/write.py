"""Writes docs/results/*.md from the JSON files in eval/results, so that no figure of these pages is typed by hand.

python -m eval.pages.write            # writes
python -m eval.pages.write --check    # only says which pages are out of date; exit code 1 if any is

A JSON file with the key `entrants` is a race and gets a section of races.md without further work. Any other file needs an
entry in `PAGES`: a file that no page shows is an error.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.pages import races
from eval.pages.faults import faults_page
from eval.pages.sparse import sparse_page
from eval.pages.switches import switches_page
from eval.pages.training import training_page
from panoptic3d.errors import InputError
from panoptic3d.files import write_text_atomically

# page -> its text from {path below eval/results: content}, and the files that it reads
PAGES = {
    "races.md": (races.races_page, None),  # None: every race
    "ablations.md": (races.ablations_page, ("ablations.json", "ablations-from-the-start.json")),
    "sparse.md": (sparse_page, ("sparse-peers-cpu-1.json", "sparse-peers-cpu-2.json")),
    "training.md": (training_page, ("train-cpu.json", "faults/kill-training.json")),
    "faults.md": (
        faults_page,
        tuple(
            f"faults/{name}.json"
            for name in ("kill-verbs", "failing-calls", "full-disk", "memory", "servers", "threads")
        ),
    ),
    "panorecon-switches.md": (switches_page, ("panorecon-switches.json",)),
}
_NOTE = "<!-- Written by `python -m eval.pages.write`. Do not edit: change the JSON files in eval/results, or eval/pages. -->"


def pages_of(folder: Path) -> dict[str, str]:
    """Name and text of every page."""
    found = {str(path.relative_to(folder)): json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))}
    of_races = tuple(name for name, content in found.items() if "entrants" in content)
    named = {page: names or of_races for page, (_, names) in PAGES.items()}
    if unshown := sorted(set(found) - {name for names in named.values() for name in names}):
        raise InputError(f"no page shows {', '.join(unshown)}; add it to PAGES in eval/pages/write.py.")
    return {page: f"{_NOTE}\n{PAGES[page][0](_of(found, names)).strip()}\n" for page, names in named.items()}


def _of(found: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    if missing := [name for name in names if name not in found]:
        raise InputError(f"eval/results lacks {', '.join(missing)}.")
    return {name: found[name] for name in names}


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, default=Path("eval/results"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args(words)
    pages = pages_of(asked.results)
    outdated = [name for name, text in pages.items() if _text(asked.out / name) != text]
    for name in outdated:
        if asked.check:
            print(f"{asked.out / name} is out of date; run python -m eval.pages.write.")
        else:
            write_text_atomically(asked.out / name, pages[name])
            print(asked.out / name)
    return int(asked.check and bool(outdated))


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
