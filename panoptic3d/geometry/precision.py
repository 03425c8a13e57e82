"""Lengths, pixels and losses in at least float32, whatever autocast computes the features in.

bfloat16 has 8 bits: near column 300 of an image its steps are 2 pixels, at 4 m they are 3 cm. float16 overflows at 65,504.
"""

import contextlib

import torch
from torch import Tensor


def widened(values: Tensor) -> Tensor:
    """At least float32; float64 stays as it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def without_autocast(device: torch.device) -> contextlib.AbstractContextManager:
    """For the last layer of a head that predicts lengths: its input may be half precision, its output is not rounded."""
    return torch.autocast(device.type, enabled=False)
