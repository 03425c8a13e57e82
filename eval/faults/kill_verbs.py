"""Kills verbs at random moments, then lets the same command finish: nothing is lost or half-written, and the bytes are those
of a run that nobody killed.

    python eval/faults/kill_verbs.py --kills 30 [--verb pack ...]
"""

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_PHOTOS, _TINY = REPOSITORY / "data" / "photos", REPOSITORY / "data" / "tiny"
_REPORTS = ("pack-report.json",)  # which say what this run made and what it found made
_FLEETING = {"seconds", "time", "commit", "sha256"}  # keys of JSON that differ between two runs


@dataclass(frozen=True)
class Verb:
    """`words` of the command that writes `out`; `prepare` makes what it needs, such as scenes to replace."""

    words: Callable[[Path], list[str]]
    prepare: Callable[[Path], object] = lambda folder: None


def _scenes(folder: Path) -> None:
    _run(["predict", str(_PHOTOS), "--out", str(folder / "out"), "--device", "cpu"])


def _released(folder: Path) -> None:
    _run(["data", "pack", str(_TINY), "--unpack", "--out", str(folder / "released")])


VERBS = {
    "predict": Verb(
        lambda f: ["predict", str(_PHOTOS), "--out", str(f / "out"), "--overwrite", "--device", "cpu"], _scenes
    ),
    "pack": Verb(lambda f: ["data", "pack", str(f / "released"), "--out", str(f / "out")], _released),
    "generate": Verb(lambda f: ["data", "generate", "--out", str(f / "out"), "--num", "4", "--workers", "1"]),
    "verify": Verb(
        lambda f: ["data", "verify", str(_TINY), "--jobs", "1", "--json", str(f / "out" / "report.json")],
        lambda f: (f / "out").mkdir(exist_ok=True),
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--verb", action="append", choices=VERBS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    results = {name: attack(VERBS[name], arguments.kills, arguments.seed) for name in arguments.verb or VERBS}
    print(json.dumps(results, indent=1))
    return 0 if all(result["wrong"] == [] for result in results.values()) else 1


def attack(verb: Verb, num_kills: int, seed: int) -> dict:
    """Each kill in the same folder, so that what one leaves meets the next; the command is let through after every third."""
    chance, wrong, num_killed = random.Random(seed), [], 0
    with tempfile.TemporaryDirectory() as base:
        unbroken, broken = Path(base, "unbroken"), Path(base, "broken")
        for folder in (unbroken, broken):
            folder.mkdir()
            verb.prepare(folder)
        start_s = time.monotonic()
        _run(verb.words(unbroken))
        lasts_s, wanted = time.monotonic() - start_s, contents(unbroken / "out")
        for number in range(num_kills):
            process = subprocess.Popen(
                _command(verb.words(broken)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                process.wait(chance.uniform(0.3, 1.0) * lasts_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                num_killed += 1
            wrong += [f"kill {number}: {name} is half-written" for name in half_written(broken / "out", wanted)]
            if number % 3 == 2 or number == num_kills - 1:
                _run(verb.words(broken))
                found = contents(broken / "out")
                wrong += [
                    f"after kill {number}: {n}" for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n)
                ]
                if verb is not VERBS["predict"]:
                    shutil.rmtree(broken)
                    broken.mkdir()
                    verb.prepare(broken)
    return {"kills": num_killed, "seconds_of_a_run": round(lasts_s, 1), "wrong": wrong}


def half_written(out: Path, wanted: dict[str, str]) -> list[str]:
    """Files under a final name with other content than they should have; partial ones have names of their own."""
    found = contents(out)
    return [name for name, value in found.items() if name in wanted and value != wanted[name]]


def contents(out: Path) -> dict[str, str]:
    """Hash of every file below, leaving out what tells of time and what is hidden."""
    found = {}
    for path in sorted(out.rglob("*")) if out.is_dir() else ():
        name = path.relative_to(out).as_posix()
        if (
            path.is_file()
            and not any(part.startswith(".") for part in path.parts[-3:])
            and not name.endswith(".journal")
        ):
            data = path.read_bytes()
            found[name] = hashlib.sha256(_steady(data) if path.suffix in (".json", ".jsonl") else data).hexdigest()
    return found


def _steady(data: bytes) -> bytes:
    def clean(tree: object) -> object:
        if isinstance(tree, dict):
            return {key: clean(value) for key, value in tree.items() if key not in _FLEETING}
        return [clean(value) for value in tree] if isinstance(tree, list) else tree

    lines = [data] if data[:1] in b"[{" and b"\n{" not in data else data.splitlines()
    return json.dumps([clean(json.loads(line)) for line in lines if line.strip()]).encode()


def _command(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "panoptic3d", *words]


def _run(words: list[str]) -> None:
    subprocess.run(_command(words), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    raise SystemExit(main())
