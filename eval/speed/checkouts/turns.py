"""Two checkouts in turns: one benchmark, the same words, CPU seconds of each call, so that a loaded machine changes little.

    python eval/speed/checkouts/turns.py BEFORE AFTER --turns 5 -- bench panorecon --section infer --threads 1 --repeats 1

Prints JSON: for the user seconds of the whole call, and for each number that the benchmark printed under a name that
fits `--numbers`, the medians of both checkouts and their ratio, after to before.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

_MAIN = "import sys; sys.argv[0] = 'panoptic3d'; from panoptic3d.cli import main; sys.exit(main())"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, metavar="BEFORE", help="a checkout")
    parser.add_argument("after", type=Path, metavar="AFTER", help="another one")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument(
        "--numbers", default="cpu_s$", metavar="REGEX", help="of the names in the benchmark's JSON (cpu_s$)"
    )
    parser.add_argument("words", nargs="+", metavar="WORD", help="behind --: the words of panoptic3d, printing JSON")
    arguments = parser.parse_args()
    seen: dict[str, dict[str, list[float]]] = {"before": defaultdict(list), "after": defaultdict(list)}
    for turn in range(arguments.turns):
        for name in ("before", "after") if turn % 2 == 0 else ("after", "before"):
            for key, seconds in called(getattr(arguments, name).resolve(), arguments.words, arguments.numbers).items():
                seen[name][key].append(seconds)
            print(f"turn {turn + 1} of {arguments.turns}: {name}", file=sys.stderr, flush=True)
    print(json.dumps({"words": arguments.words, "turns": arguments.turns, **compared(seen)}, indent=1))


def called(checkout: Path, words: list[str], wanted: str) -> dict[str, float]:
    """User seconds of one call, and the numbers that it printed."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = [sys.executable, "-c", _MAIN, *words]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{checkout}: {' '.join(words)} ended with {done.returncode}: {done.stderr[-500:]}")
    whole = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - spent
    return {
        "user_s of the call": whole,
        **{name: value for name, value in numbers_of(json.loads(done.stdout)) if re.search(wanted, name)},
    }


def numbers_of(tree: Any, place: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from numbers_of(value, f"{place}.{key}".strip("."))
    elif isinstance(tree, int | float):
        yield place, float(tree)


def compared(seen: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Medians, the least of each side (what load disturbs least), and ratios of the medians."""
    rows = {}
    for key in (key for key in seen["before"] if key in seen["after"]):
        before, after = median(seen["before"][key]), median(seen["after"][key])
        rows[key] = {"before": round(before, 3), "after": round(after, 3), "ratio": round(after / max(before, 1e-9), 3)}
        rows[key]["least"] = [round(min(seen[side][key]), 3) for side in ("before", "after")]
    return {"rows": rows}


if __name__ == "__main__":
    main()
