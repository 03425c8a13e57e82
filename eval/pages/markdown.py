"""What the pages have in common."""

from collections.abc import Mapping, Sequence
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def machine_line(measured: Mapping[str, Any], name: str) -> str:
    """Where and with what a file was measured."""
    machine = measured.get("machine", measured)
    threads = machine["num_threads"]
    return (
        f"`eval/results/{name}`: {machine['hardware']}, torch {machine['versions']['torch']}, "
        f"{threads} thread{'s' if threads > 1 else ''}, commit {machine['commit']}."
    )
