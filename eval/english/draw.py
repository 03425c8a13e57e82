"""Draws comments, docstrings and pages at random, to be read aloud to somebody who does not know the project.

python -m eval.english.draw --seed 25 --comments 40 --pages 10
"""

import argparse
import ast
import io
import random
import tokenize
from collections.abc import Iterator
from pathlib import Path

_FEWEST_WORDS = 6  # shorter ones are names, not sentences


def comments_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each comment and of the first line of each docstring."""
    source = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield node.body[0].lineno, text.splitlines()[0]


def drawn(root: Path, seed: int, num_comments: int, num_pages: int) -> tuple[list[str], list[str]]:
    """`file:line: text` of the comments, and the names of the pages. The order of files is that of their names."""
    every = [
        f"{path.relative_to(root)}:{line}: {text}"
        for path in sorted((root / "panoptic3d").rglob("*.py"))
        for line, text in sorted(comments_of(path))
        if len(text.split()) >= _FEWEST_WORDS and not text.startswith(("pyright", "noqa", "fmt"))
    ]
    pages = sorted(str(path.relative_to(root)) for path in (root / "docs").rglob("*.md"))
    source = random.Random(seed)
    return source.sample(every, min(num_comments, len(every))), source.sample(pages, min(num_pages, len(pages)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=25)
    parser.add_argument("--comments", type=int, default=40)
    parser.add_argument("--pages", type=int, default=10)
    parser.add_argument("--root", type=Path, default=Path())
    given = parser.parse_args()
    comments, pages = drawn(given.root, given.seed, given.comments, given.pages)
    print("\n".join([*comments, "", *pages]))


if __name__ == "__main__":
    main()
