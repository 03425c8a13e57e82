"""Many photos on many GPUs: each rank of torchrun takes every n-th."""

import os

import torch

from panoptic3d import distributed

_LONGEST_S = 7 * 24 * 3600.0


def join_ranks() -> None:
    """Ranks only exchange a few lines of text at the end, for which a fast one waits as long as a slow one works."""
    distributed.start(torch.device("cpu"), timeout_s=_LONGEST_S)


def device_of_rank(device: str) -> str:
    """Each rank has a GPU; more ranks than GPUs share them, which keeps a GPU busy while scenes are written."""
    if device == "cpu" or not distributed.is_distributed() or not torch.cuda.is_available():
        return device
    return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
