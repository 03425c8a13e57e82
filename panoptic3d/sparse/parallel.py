"""Blocks of work over threads of our own.

One block per thread, each computing on one core, beats several cores per small operation: a thousand operations of a tenth
of a millisecond would wait for each other a thousand times. Results come in the order of the blocks and every block is
computed on one core, so that they are the same bits whatever the number of threads.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def over_blocks(work: Callable[[T], R], blocks: Sequence[T], device: torch.device) -> Iterator[R]:
    """`map(work, blocks)` on as many threads as torch has been given, without gradients; on a GPU one after the other."""
    num_threads = torch.get_num_threads()
    if device.type != "cpu" or num_threads == 1 or len(blocks) < 2:
        yield from map(work, blocks)
        return
    pool, is_inference = _pool(num_threads, os.getpid()), torch.is_inference_mode_enabled()
    running: deque[Future[R]] = deque()
    for block in blocks:
        if len(running) > num_threads:  # finished blocks wait for their turn: keep few
            yield running.popleft().result()
        running.append(pool.submit(_without_gradients, work, block, is_inference))
    while running:
        yield running.popleft().result()


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
    return _pool(num_threads, os.getpid()).submit(_without_gradients, lambda _: work(), None, is_inference).result()


def _without_gradients(work: Callable[[T], R], block: T, is_inference: bool) -> R:
    with torch.inference_mode(is_inference), torch.no_grad():  # the modes belong to a thread
        return work(block)


@cache
def _pool(num_threads: int, process: int) -> ThreadPoolExecutor:
    """Threads that compute on one core each. A forked process has none of its parent's threads and makes its own."""
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="sparse")
    everyone = threading.Barrier(num_threads)

    def settle() -> None:
        torch.get_num_threads()  # a thread takes the common number when first asked, and would overwrite its own later
        torch.set_num_threads(1)
        everyone.wait()

    for started in [pool.submit(settle) for _ in range(num_threads)]:
        started.result()
    torch.set_num_threads(num_threads)  # what a thread to come starts with; ours keep their one
    return pool
