"""The head of every attack on verbs: which ones, how they are told, and what is kept of them."""

import argparse
import json
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from eval.faults.verbs import VERBS, Verb, prepare
from panoptic3d.machine import describe_machine

REAL = "predict"  # with the real network, which costs minutes
Attack = Callable[
    [Verb, Path, Path], dict
]  # of a verb, its inputs and a folder to work in; what was `wrong` among the facts


def parser_of(document: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(document or "").partition("\n")[0])
    parser.add_argument("--verb", action="append", choices=VERBS)
    parser.add_argument(
        "--json", metavar="FILE", help="the result; of verbs that were not asked for it keeps what it says"
    )
    return parser


def carry_out(arguments: argparse.Namespace, attack: Attack, by_default: Collection[str]) -> int:
    """0 where nothing is wrong with any verb."""
    names, results = arguments.verb or list(by_default), {}
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        inputs = prepare(base, is_real=REAL in names)
        for verb in names:
            results[verb] = attack(VERBS[verb], inputs, base)
            print(f"{verb:40} {json.dumps(results[verb])}", flush=True)
            if arguments.json:
                keep(Path(arguments.json), verb, results[verb])
    return 0 if all(result["wrong"] == [] for result in results.values()) else 1


def keep(path: Path, name: str, result: dict) -> None:
    """Beside what other runs have found, each with its own commit."""
    machine = describe_machine()
    tree = json.loads(path.read_text()) if path.exists() else {}
    tree |= {"machine": machine, name: {"commit": machine["commit"], **result}}
    path.write_text(json.dumps(tree, indent=1) + "\n")
