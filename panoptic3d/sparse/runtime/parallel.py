"""Blocks of work over threads of our own.

One block per thread, each computing on one core, beats several cores per small operation: a thousand operations of a tenth
of a millisecond would wait for each other a thousand times. Results come in the order of the blocks and every block is
computed on one core, so that they are the same bits whatever the number of threads.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar, cast

import torch

T = TypeVar("T")
R = TypeVar("R")


def over_blocks(work: Callable[[T], R], blocks: Sequence[T], device: torch.device) -> list[R]:
    """`map(work, blocks)` on as many threads as torch has been given, without gradients; on a GPU one after the other.

    Every thread takes the next block when it is done with its last: handing out one by one cost as much as small blocks take.
    """
    num_threads = torch.get_num_threads()
    if device.type != "cpu" or num_threads == 1 or len(blocks) < 2:
        return [work(block) for block in blocks]
    results: list[R | None] = [None] * len(blocks)
    todo, is_inference = enumerate(blocks), torch.is_inference_mode_enabled()

    def take_turns() -> None:
        with torch.inference_mode(is_inference), torch.no_grad():  # the modes belong to a thread
            for number, block in todo:  # a shared iterator: each block goes to one thread
                results[number] = work(block)

    pool = _pool(num_threads, os.getpid())
    takers = [pool.submit(take_turns) for _ in range(min(num_threads, len(blocks)))]
    wait(takers)  # raise errors only after all threads have stopped
    for taker in takers:
        taker.result()
    return cast(list[R], results)


def side_by_side(works: Sequence[Callable[[], R]], device: torch.device) -> list[R]:
    """Independent works, as many at a time as there are threads, each on one core: threads that meet once wait less than
    threads that meet at every layer. What does not fill the threads runs by itself with all of them, and so does everything
    under autocast, which belongs to a thread, and where gradients are wanted.
    """
    num_threads = torch.get_num_threads()
    is_alone = device.type != "cpu" or num_threads == 1 or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
    results: list[R] = []
    for start in range(0, len(works), num_threads):
        group = works[start : start + num_threads]
        if is_alone or len(group) < num_threads:
            results += [work() for work in group]
        else:
            results += over_blocks(lambda work: work(), group, device)
    return results


def on_one_core(work: Callable[[], R], device: torch.device) -> R:
    """For work that is many small operations: several cores would spend more time in waiting for each other."""
    num_threads = torch.get_num_threads()
    if device.type != "cpu" or num_threads == 1:
        return work()
    is_inference = torch.is_inference_mode_enabled()

    def alone() -> R:
        with torch.inference_mode(is_inference), torch.no_grad():
            return work()

    return _pool(num_threads, os.getpid()).submit(alone).result()


@cache
def _pool(num_threads: int, process: int) -> ThreadPoolExecutor:
    """Threads that compute on one core each. A forked process has none of its parent's threads and makes its own."""
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="sparse")
    everyone = threading.Barrier(num_threads)

    def settle() -> None:
        torch.get_num_threads()  # a thread's first call copies the global number; call it now, or it would undo the 1
        torch.set_num_threads(1)
        everyone.wait()

    for started in [pool.submit(settle) for _ in range(num_threads)]:
        started.result()
    torch.set_num_threads(num_threads)  # what a thread to come starts with; ours keep their one
    return pool
