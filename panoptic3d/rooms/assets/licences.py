"""Which licences let a model into a library, and the table that says whose work it holds."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Renders, truth and weights made with these may be used for anything, with attribution where the licence asks for it.
FREE = (
    "CC0-1.0",
    "CC-BY-3.0",
    "CC-BY-3.0-US",
    "CC-BY-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "MIT",
    "Apache-2.0",
    "BSD-3-Clause",
)
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Credit:
    """One row of the licence table."""

    model: str
    role: str
    author: str
    licence: str
    source: str


def licence_id(text: str) -> str:
    """The SPDX-like name of what a catalogue writes; `unknown` if it names none of the known ones."""
    words = re.sub(r"[\s_-]+", " ", text).strip().lower()
    if not words:
        return UNKNOWN
    if re.search(r"non ?commercial|\bnc\b|\bby nc\b", words):
        return "non-commercial"
    if re.search(r"no ?deriv|\bnd\b", words):
        return "no-derivatives"
    if re.search(r"public domain|cc ?0|\bzero\b", words):
        return "CC0-1.0"
    for known in FREE:
        if words == known.lower().replace("-", " "):
            return known
    if "attribution" in words or re.search(r"\bcc by\b", words):
        version = re.search(r"([34])\.0", words)
        share = "-SA" if "share" in words or re.search(r"\bsa\b", words) else ""
        country = "-US" if "united states" in words and not share else ""
        return f"CC-BY{share}-{version.group(1)}.0{country}" if version else UNKNOWN
    return UNKNOWN


def is_allowed(licence: str, also: Sequence[str] = ()) -> bool:
    return licence in FREE or licence in also


def licence_table(credits: Iterable[Credit], left_out: Iterable[tuple[str, str]]) -> str:
    """Markdown: every model with author and licence, then what was left out and why."""
    rows = sorted(credits, key=lambda c: (c.licence, c.author, c.model))
    lines = ["# Licences of this furniture library", "", "| licence | models |", "| --- | --- |"]
    for licence in sorted({c.licence for c in rows}):
        lines.append(f"| {licence} | {sum(c.licence == licence for c in rows)} |")
    lines += ["", "| model | role | author | licence | source |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {_cell(c.model)} | {c.role} | {_cell(c.author)} | {c.licence} | {_cell(c.source)} |" for c in rows]
    lines += ["", "## Left out", "", "| model | why |", "| --- | --- |"]
    lines += [f"| {_cell(name)} | {_cell(why)} |" for name, why in sorted(left_out)]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "/") or "-"
