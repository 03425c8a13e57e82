"""Scratch memory that blocks of work reuse: fresh memory costs as much as a pass over it."""

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor


class Scratch:
    """Scratch memory of one thread. Pieces are handed out in order, and all are returned at once."""

    def __init__(self, like: Tensor) -> None:
        self._like, self._pieces, self._num_taken = like, list[Tensor](), 0

    def take(self, *shape: int) -> Tensor:
        """Of any content."""
        size, number = math.prod(shape), self._num_taken
        if number == len(self._pieces):
            self._pieces.append(self._like.new_empty(size))
        elif self._pieces[number].numel() < size:  # Python's `len` of a tensor is slow
            self._pieces[number] = self._like.new_empty(size)
        self._num_taken += 1
        return self._pieces[number][:size].view(shape)

    def take_back(self) -> None:
        self._num_taken = 0


class Shelf:
    """Scratch of one call, from block to block."""

    def __init__(self, like: Tensor) -> None:
        self._like, self._free = like, deque[Scratch]()  # appends and pops of a deque are atomic

    @contextmanager
    def scratch(self) -> Iterator[Scratch]:
        try:
            own = self._free.pop()
        except IndexError:
            own = Scratch(self._like)
        yield own
        own.take_back()
        self._free.append(own)
