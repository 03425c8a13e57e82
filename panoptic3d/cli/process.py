"""What can be set for a whole process only, and helps on a CPU.

Tensors of tens of megabytes come and go at every layer. The allocator would return each to the system, whose pages would
be cleared anew for the next one while both cores wait; and a thread of OpenMP that has finished would spin on the core where
one of ours has begun. What the user has set stays.
"""

import ctypes
import os
from collections.abc import Sequence

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # of glibc's malloc.h
_NEVER = 2**31 - 1


def settle(words: Sequence[str]) -> None:
    """Before torch is loaded. Training keeps the usual allocator: pieces of all sizes would leave more and more holes."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
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
