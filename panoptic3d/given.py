"""Check arguments of the Python interface: a wrong type or value gets one clear sentence before any work starts."""

import math
import os
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from panoptic3d.errors import InputError


def is_finite_number(value: Any) -> bool:
    """Whether the value is a finite number of Python or numpy. Booleans do not count as numbers."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int that no float holds
        return False


def is_whole_number(value: Any, least: int = 0) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def are_finite_numbers(values: Any, count: int) -> bool:
    """So many of them in a tuple or a list."""
    return isinstance(values, Sequence) and len(values) == count and all(map(is_finite_number, values))


def path_of(given: Any, what: str) -> Path:
    """Convert an argument to a path. `what` names it in the error message."""
    if not isinstance(given, str | os.PathLike) or not isinstance(os.fspath(given), str):
        raise InputError(f"{what} is given by its path, a text or a Path, not by {type(given).__name__}.")
    if "\0" in os.fspath(given):
        raise InputError(f"{what} is {os.fspath(given)!r}, which no file can be called; give another name.")
    return Path(given)
