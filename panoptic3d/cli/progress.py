"""Progress of a long job: one line that is rewritten on a terminal, or a line now and then in a log file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

T = TypeVar("T")

_SECONDS_BETWEEN_LOG_LINES = 30.0
_SECONDS_BETWEEN_UPDATES = 0.1


def with_progress(items: Iterable[T], total: int, what: str, stream: TextIO | None = None) -> Iterator[T]:
    """Yield the items and say on stderr how many are done, how fast it goes and how long the rest takes."""
    out: TextIO = sys.stderr if stream is None else stream  # as it is now: tests and notebooks put others in its place
    is_terminal = out.isatty()
    pause_s = _SECONDS_BETWEEN_UPDATES if is_terminal else _SECONDS_BETWEEN_LOG_LINES
    start_s = last_s = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        now_s = time.monotonic()
        if now_s - last_s >= pause_s and done < total:
            last_s = now_s
            out.write(_written(is_terminal, _line(done, total, what, now_s - start_s)))
            out.flush()
    if done:
        out.write(_written(is_terminal, _line(done, total, what, time.monotonic() - start_s)))
        out.flush()
        if is_terminal:
            out.write("\n")


def _line(done: int, total: int, what: str, elapsed_s: float) -> str:
    rate = done / max(elapsed_s, 1e-9)
    left = _duration((total - done) / max(rate, 1e-9))
    tail = f"{left} left" if done < total else f"in {_duration(elapsed_s)}"
    return f"{what}: {done:,} of {total:,} ({done / max(total, 1):.0%}), {rate:.1f}/s, {tail}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _written(is_terminal: bool, line: str) -> str:
    return f"\r\x1b[K{line}" if is_terminal else f"{line}\n"
