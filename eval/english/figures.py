"""Figures per hundred words of each page, outside of code and tables: a page that explains has one to eight.

python -m eval.english.figures docs/*.md README.md
"""

import argparse
import re
from pathlib import Path

_CODE = re.compile(r"```[\s\S]*?```|`[^`\n]*`|^(?: {4}|\t).*$|^<!--.*-->$", re.MULTILINE)
_TABLE = re.compile(r"^\|.*$", re.MULTILINE)
_LINK = re.compile(r"\]\([^)]*\)")
_FIGURE = re.compile(r"(?<![\w.])\d[\d,.]*")


def figures_per_hundred_words(text: str, with_tables: bool) -> float:
    text = _LINK.sub("]", _CODE.sub("", text))
    if not with_tables:
        text = _TABLE.sub("", text)
    return 100 * len(_FIGURE.findall(text)) / max(len(text.split()), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="+", type=Path)
    print("| page | with tables | prose |\n| --- | --- | --- |")
    for page in parser.parse_args().pages:
        text = page.read_text(encoding="utf-8")
        print(
            f"| {page} | {figures_per_hundred_words(text, True):.1f} | {figures_per_hundred_words(text, False):.1f} |"
        )


if __name__ == "__main__":
    main()
