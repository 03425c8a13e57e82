"""Settings of the whole process: how it ends, how it prints, and how it allocates memory on a CPU.

Tensors of tens of megabytes come and go at every layer. The allocator would return each to the system, whose pages would
be cleared anew for the next one while both cores wait; and a thread of OpenMP that has finished would spin on the core where
one of ours has begun. What the user has set stays.
"""

import ctypes
import io
import os
import signal
import sys
from collections.abc import Sequence

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # of glibc's malloc.h
_NEVER = 2**31 - 1


class Terminated(KeyboardInterrupt):
    """SIGTERM ends a run as Ctrl-C does, with everything written that an end has to write."""


def end_on_sigterm() -> None:
    """Training has its own way. Processes that are forked from this one end at once, as if nothing had been set."""
    own = os.getpid()

    def end(number: int, _: object) -> None:
        if os.getpid() == own:
            raise Terminated
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)


def settle(words: Sequence[str]) -> None:
    """Before torch is loaded. Training keeps the usual allocator: pieces of all sizes would leave more and more holes."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows ASCII only gets the rest as escapes
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if "train" not in words[:1] and not any(name.startswith("MALLOC_") for name in os.environ):
        _keep_memory()


def _keep_memory() -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another library than glibc has its own ways
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _NEVER)
    mallopt(_ARENA_MAX, 1)
