"""Freed memory stays with a process that asked for it: in one of its own, for there is no way back."""

import platform
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, torch
from panoptic3d.engine.training.allocator import keep_freed_memory
if {keeps}: assert keep_freed_memory()
def step(): return float(torch.ones(12_000_000).sum())  # 48 MB
for _ in range(24): step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_later_steps_take_no_new_pages() -> None:
    counts = [
        int(
            subprocess.run(
                [sys.executable, "-c", COUNT_FAULTS.format(keeps=keeps)], capture_output=True, check=True, text=True
            ).stdout
        )
        for keeps in (False, True)
    ]
    assert counts[0] > 4000 > 100 > counts[1], counts
