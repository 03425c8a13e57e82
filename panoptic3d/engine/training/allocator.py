"""Keep freed memory in the process, because the next training step needs as much again.

By default glibc gives every large tensor back to the system, which hands it out again page by page, filled with zeros: up to
300,000 page faults a step, a sixth of its time.
"""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h
_NEVER_TRIM = -1


def keep_freed_memory() -> bool:
    """Whether the C library supports it. The peak memory of the process does not change, but is held until the end."""
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_MAX, 0)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM))
