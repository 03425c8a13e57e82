"""Fills the disk at random places while a verb writes: one sentence, exit code 1, what was whole stays whole, nothing half
under a final name, nothing left behind; and with room again the same command ends with the bytes of a run that had room.

    python -m eval.faults.full_disk --places 20 [--verb pack ...] [--json FILE]        # as root: it mounts a tmpfs

A place is a size of the disk between what lies there before the verb and the most that it needs on its way.
"""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from eval.faults.command import REAL, carry_out, parser_of
from eval.faults.verbs import (
    VERBS,
    Contents,
    Verb,
    begin,
    complaint_of,
    differences,
    finish,
    half_written,
    left_behind,
    mixed,
    start,
    unbroken,
    wait,
)

_BIG = 1 << 30
PAGE = 4096


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--places", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    assert os.geteuid() == 0, "mounting a tmpfs takes root"
    by_default = [name for name in VERBS if name != REAL]  # the network writes nothing
    return carry_out(arguments, partial(attack, num_places=arguments.places, seed=arguments.seed), by_default)


def attack(verb: Verb, inputs: Path, base: Path, num_places: int, seed: int) -> dict:
    chance = random.Random(seed)
    before, wanted, _ = unbroken(verb, inputs, base)
    with disk(base / "disk") as place:
        out, log = place / "out", base / "full.log"
        begin(verb, inputs, out)
        least = used_bytes(place)
        most = max(peak_bytes(start(verb.words(inputs, out), log, verb.patch), place), least + 2 * PAGE)
        wrong, num_full = [], 0
        for _ in range(4 * num_places):
            if num_full == num_places:
                break
            begin(verb, inputs, out)
            size = chance.randrange(least // PAGE + 1, most // PAGE) * PAGE
            resize(place, size)
            code = finish(start(verb.words(inputs, out), log, verb.patch))
            num_full += code != 0  # by luck of timing it may have had room
            what = f"with {size - least:,} of {most - least:,} bytes"
            wrong += [f"{what}: {problem}" for problem in judged(verb, out, log, code, before, wanted)]
            resize(place, _BIG)
            code = finish(start(verb.words(inputs, out), log, verb.patch))
            wrong += [f"with room again after {what}: exit code {code}: {log.read_text()[-300:]}"] if code else []
            found = differences(wanted, verb.contents(out))
            wrong += [f"with room again after {what}: {name} differs" for name in found]
    return {"full": num_full, "bytes": most - least, "wrong": wrong}


def judged(verb: Verb, out: Path, log: Path, code: int, before: Contents, wanted: Contents) -> Iterator[str]:
    yield from half_written(verb, out, before, wanted)
    yield from mixed(out, before, wanted)
    yield from (f"{name} was left" for name in left_behind(out))
    if code not in (0, 1):
        yield f"exit code {code}"
    if code and (complaint := complaint_of(log)) is not None:
        yield complaint


def peak_bytes(process: int, place: Path) -> int:
    """The most that lies on the disk at once while a verb runs."""
    most = 0
    while (code := wait(process, 0.002)) is None:
        most = max(most, used_bytes(place))
    assert code == 0
    return max(most, used_bytes(place))


@contextmanager
def disk(place: Path) -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_BIG}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def resize(place: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)


def used_bytes(place: Path) -> int:
    status = os.statvfs(place)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


if __name__ == "__main__":
    raise SystemExit(main())
