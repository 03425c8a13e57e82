"""Lets single system calls of a verb fail, or kills it at one, by strace: renames, and what brings bytes to the disk.

    python -m eval.faults.failing_calls [--verb pack ...] [--most 6] [--json FILE]

What a verb of two renames does with the second one decides whether a kill between them loses a scene; random moments hit that
too seldom. For `predict` the exchange of two names is also made impossible, as on file systems that lack it.
"""

import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from eval.faults.command import carry_out, parser_of
from eval.faults.verbs import (
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
)

_CALLS = ("rename", "renameat2", "fsync")
_BY_DEFAULT = ("predict, network stood in for", "generate", "pack", "verify", "evaluate", "train")
_NO_EXCHANGE = "renameat2:error=EINVAL"


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--most", type=int, default=6, metavar="N", help="places of a call that are tried, spread evenly"
    )
    arguments = parser.parse_args()
    assert shutil.which("strace"), "this attack needs strace"
    return carry_out(arguments, partial(attack, most=arguments.most), _BY_DEFAULT)


def attack(verb: Verb, inputs: Path, base: Path, most: int) -> dict:
    before, wanted, _ = unbroken(verb, inputs, base)
    out, log, wrong, tried = base / "broken", base / "broken.log", [], Counter()
    for always in ((), (_NO_EXCHANGE,)):
        begin(verb, inputs, out)
        counted = calls_of(verb, inputs, out, log, always)
        if always and not counted["renameat2"]:
            break  # this verb exchanges nothing
        for one in injections(counted, most, is_exchange_broken=bool(always)):
            begin(verb, inputs, out)
            code = traced(verb, inputs, out, log, [*always, one])
            what = f"{one}{' without exchange' if always else ''}"
            tried[one.split(":when")[0]] += 1
            wrong += [f"{what}: {problem}" for problem in judged(verb, out, log, code, before, wanted, bool(always))]
            code = finish(start(verb.words(inputs, out), log, verb.patch))
            wrong += [f"after {what}: exit code {code}: {log.read_text()[-300:]}"] if code else []
            wrong += [f"after {what}: {name} differs" for name in differences(wanted, verb.contents(out))]
            wrong += [f"after {what}: {name} was left" for name in left_behind(out)]
    return {"tried": dict(tried), "wrong": wrong}


def judged(
    verb: Verb, out: Path, log: Path, code: int, before: Contents, wanted: Contents, may_be_away: bool
) -> list[str]:
    """What is wrong right after the fault. Without an exchange a killed `predict` leaves the old scene under a name that the
    next run finds; a failing call leaves nothing under another name.
    """
    problems = [*half_written(verb, out, before, wanted), *mixed(out, before, wanted)]
    if code < 0:
        return [p for p in problems if not (may_be_away and p.endswith("is lost"))]
    if code and (complaint := complaint_of(log)) is not None:
        problems.append(complaint)
    if code == 0:
        problems += [f"{name} differs" for name in differences(wanted, verb.contents(out))]
    return problems + [f"{name} was left" for name in left_behind(out)]


def injections(counted: Counter, most: int, is_exchange_broken: bool) -> list[str]:
    calls = ("rename",) if is_exchange_broken else _CALLS
    found = []
    for call in calls:
        last = counted[call]
        places = sorted({1 + round(i * (last - 1) / max(most - 1, 1)) for i in range(most)}) if last else []
        found += [f"{call}:error=EIO:when={place}" for place in places]
        found += [f"{call}:signal=SIGKILL:when={place}" for place in places if call != "fsync"]
    return found


def calls_of(verb: Verb, inputs: Path, out: Path, log: Path, always: Sequence[str]) -> Counter:
    """How often the thread that calls most does each call; strace counts by thread."""
    trace = log.with_suffix(".trace")
    assert traced(verb, inputs, out, log, always, trace) == 0, log.read_text()
    found = Counter(re.findall(rf"^(\d+) +({'|'.join(_CALLS)})\(", trace.read_text(), re.MULTILINE))
    return Counter({call: max((n for (_, c), n in found.items() if c == call), default=0) for call in _CALLS})


def traced(
    verb: Verb, inputs: Path, out: Path, log: Path, injected: Sequence[str], trace: Path = Path(os.devnull)
) -> int:
    """The exit code of a verb under strace, which takes hold of it before it begins."""
    gate, opens = os.pipe()
    process = start(verb.words(inputs, out), log, verb.patch, gate=gate)
    words = ["strace", "-f", "-q", "-o", str(trace), "-e", f"trace={','.join(_CALLS)}", "-p", str(process)]
    words += [word for one in injected for word in ("-e", f"inject={one}")]
    tracer = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        while "TracerPid:\t0" in Path(f"/proc/{process}/status").read_text():
            assert tracer.poll() is None, tracer.communicate()[1]
            time.sleep(0.002)
        os.write(opens, b"!")
        return finish(process)
    finally:
        os.close(gate)
        os.close(opens)
        tracer.communicate()


if __name__ == "__main__":
    raise SystemExit(main())
