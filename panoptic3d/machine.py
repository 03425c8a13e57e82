"""Hardware, versions, and commit, which accompany every measured number; and on which device to run."""

import functools
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from panoptic3d.errors import InputError
from panoptic3d.version import __version__

_GIT_S = 5.0


def describe_machine() -> dict[str, Any]:
    return {"hardware": hardware(), "commit": commit(), "versions": versions(), "num_threads": torch.get_num_threads()}


def hardware() -> str:
    parts = [f"{os.cpu_count()} x {_processor()}"]
    if torch.cuda.is_available():
        parts += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join(parts)


def device_named(word: str, advice: str = "use the CPU", rank: int = 0) -> torch.device:
    """`auto` is CUDA where torch finds it, else the CPU; CUDA without a number is the device of the rank. More ranks than
    devices share them, which keeps a GPU busy while scenes are written.
    """
    has_cuda = torch.cuda.is_available()
    if word.startswith("cuda") and not has_cuda:
        raise InputError(f"the device is {word} and torch finds no CUDA device here; {advice}.")
    if word == "cpu" or not has_cuda:
        return torch.device("cpu")
    return torch.device(word) if ":" in word else torch.device("cuda", rank % torch.cuda.device_count())


def is_out_of_memory(error: BaseException) -> bool:
    """torch has a type for CUDA alone; its allocator on the CPU raises a RuntimeError with one of these phrases."""
    is_typed = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return is_typed or any(sign in str(error) for sign in ("can't allocate memory", "not enough memory"))


@functools.cache
def commit() -> str:
    """The commit of the checkout that this package runs from, `-dirty` with changes; empty for an installed wheel, and where
    git is absent, broken or slow (a cold network disk): a name is not worth a result.
    """
    folder = Path(__file__).resolve().parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def versions() -> dict[str, str]:
    return {"panoptic3d": __version__, "torch": torch.__version__, "python": platform.python_version()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
