"""Helpers for ranks: every function works in a single process, and under `torchrun` after `start`."""

import os
import sys
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")

_PATIENCE_S = 3600.0
_patient_group: Any = None  # for waits that are long by nature


def is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    return dist.get_rank() if is_distributed() else 0


def world_size() -> int:
    return dist.get_world_size() if is_distributed() else 1


def is_main() -> bool:
    return rank() == 0


def launched_by_torchrun() -> bool:
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def is_main_by_environment() -> bool:
    """The same as `is_main` before the process group is there."""
    return os.environ.get("RANK", "0") == "0"


def start(device: torch.device, timeout_s: float = 60.0) -> None:
    """Join the process group that torchrun prepared; nothing happens in a single process.

    The time-out bounds how long a collective waits for a rank that died (torch's default is 30 minutes).
    """
    if not launched_by_torchrun() or is_distributed():
        return
    global _patient_group
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store, own_rank, num_ranks = next(iter(dist.rendezvous("env://", timeout=timedelta(seconds=timeout_s))))
    fresh = dist.PrefixStore(_name_of_attempt(store, own_rank, num_ranks), store)
    wait = timedelta(seconds=timeout_s)
    dist.init_process_group(backend, store=fresh, rank=own_rank, world_size=num_ranks, timeout=wait)
    _patient_group = dist.new_group(backend="gloo", timeout=timedelta(seconds=max(timeout_s, _PATIENCE_S)))


def _name_of_attempt(store: Any, own_rank: int, num_ranks: int) -> str:
    """A name that all ranks of this start share and no earlier one had.

    torchrun restarts workers on the same store, in which the addresses of the dead ones still lie: groups built on it
    connect to nobody. So each rank calls with a word of its own, and rank 0 answers it with the name until all have it.
    """
    word = uuid.uuid4().hex
    if own_rank > 0:
        store.set(f"call/{own_rank}", word)
        name = store.get(f"answer/{word}").decode()  # waits for it
        store.set(f"heard/{name}/{own_rank}", "")
        return name
    waiting = set(range(1, num_ranks))
    while waiting:
        for other in sorted(waiting):
            store.set(
                f"answer/{store.get(f'call/{other}').decode()}", word
            )  # to a dead one, until the new one has called
        waiting = {other for other in waiting if not store.check([f"heard/{word}/{other}"])}
        time.sleep(0.02)
    return word


def stop() -> None:
    global _patient_group
    if is_distributed():
        dist.destroy_process_group()
        _patient_group = None


def local_rank() -> int:
    """Which of its machine's devices is this process's."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def leave(exit_code: int) -> NoReturn:
    """End a worker of a process group. gloo's threads can abort an ordinary interpreter exit (SIGABRT after success)."""
    stop()
    abandon(exit_code)


def abandon(exit_code: int) -> NoReturn:
    """End a worker whose peers may be dead or stuck, without saying goodbye to them."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def barrier() -> None:
    if is_distributed():
        dist.barrier()


def wait_for_slow_ranks() -> None:
    """A barrier after work that is unequal by nature. A rank that dies ends it at once; one that hangs, after an hour."""
    if is_distributed():
        dist.barrier(group=_patient_group)


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """A new tensor with the sum; the argument is left alone."""
    total = tensor.clone()
    if is_distributed():
        dist.all_reduce(total, op=dist.ReduceOp.SUM)
    return total


def gather_objects(item: T) -> list[T]:
    """One small picklable object of every rank, in the order of ranks, on every rank."""
    if not is_distributed():
        return [item]
    items: list[Any] = [None] * world_size()
    dist.all_gather_object(items, item)
    return items


def shard(items: Sequence[T]) -> list[T]:
    """This rank's items: every item on exactly one rank, sizes differ by at most one, nothing is padded or repeated."""
    return list(items[rank() :: world_size()])
