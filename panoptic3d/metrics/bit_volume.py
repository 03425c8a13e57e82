"""Sets of voxels as bits: 64 neighbours along z in one word, cropped to a box, so that growing a wall takes a millisecond."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt64

WORD_BITS = 64

Words = UInt64[np.ndarray, "bx by bw"]


@dataclass(frozen=True, eq=False)
class BitVolume:
    """A set of voxels of a grid, zero outside of a box. Bit b of word w is the voxel with k = 64 w + b."""

    shape: tuple[int, int, int]
    start: tuple[int, int, int]  # of the box: i, j, word
    words: Words

    @property
    def count(self) -> int:
        return int(np.bitwise_count(self.words).sum(dtype=np.int64))

    def intersection_count(self, other: "BitVolume") -> int:
        pair = _overlap(self, other)
        return 0 if pair is None else int(np.bitwise_count(pair[0] & pair[1]).sum(dtype=np.int64))

    def masked(self, mask: "BitVolume") -> "BitVolume":
        """The voxels that are in the mask too; the mask's box holds the whole grid."""
        stop = tuple(a + n for a, n in zip(self.start, self.words.shape, strict=True))
        box = tuple(slice(a, b) for a, b in zip(self.start, stop, strict=True))
        return BitVolume(self.shape, self.start, self.words & mask.words[box])

    def dense(self) -> Bool[np.ndarray, "x y z"]:
        volume = np.zeros((*self.shape[:2], num_words(self.shape[2]) * WORD_BITS), dtype=bool)
        bits = np.unpackbits(self.words.view(np.uint8), axis=-1, bitorder="little").astype(bool)
        (i, j, w), (ni, nj, nk) = self.start, bits.shape
        volume[i : i + ni, j : j + nj, w * WORD_BITS : w * WORD_BITS + nk] = bits
        return volume[..., : self.shape[2]]


def num_words(num_voxels: int) -> int:
    return -(-num_voxels // WORD_BITS)


def pack_volume(volume: Bool[np.ndarray, "x y z"]) -> BitVolume:
    """All voxels of a dense mask, in a box of the grid's size."""
    padding = num_words(volume.shape[2]) * WORD_BITS - volume.shape[2]
    padded = np.pad(volume, ((0, 0), (0, 0), (0, padding))) if padding else np.ascontiguousarray(volume)
    words = np.packbits(padded, axis=-1, bitorder="little").view(np.uint64)
    return BitVolume((volume.shape[0], volume.shape[1], volume.shape[2]), (0, 0, 0), words)


def pack_voxels(
    linear_index: Int64[np.ndarray, " n"],
    shape: tuple[int, int, int],
    room: tuple[tuple[int, int], tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0), (0, 0)),
) -> BitVolume:
    """Voxels given by ascending linear indices; the box leaves room to grow by such offsets, as far as the grid goes."""
    if not len(linear_index):
        return BitVolume(shape, (0, 0, 0), np.zeros((0, 0, 0), dtype=np.uint64))
    row, k = np.divmod(linear_index, shape[2])
    i, j = np.divmod(row, shape[1])
    (i0, i1), (j0, j1), (k0, k1) = (
        (max(0, int(c.min()) + min(low, 0)), min(size, int(c.max()) + max(high, 0) + 1))
        for c, size, (low, high) in zip((i, j, k), shape, room, strict=True)
    )
    w0, w1 = k0 // WORD_BITS, num_words(k1)
    words = np.zeros((i1 - i0, j1 - j0, w1 - w0), dtype=np.uint64)
    cell = ((i - i0) * (j1 - j0) + (j - j0)) * (w1 - w0) + (k // WORD_BITS - w0)
    first = np.flatnonzero(np.diff(cell, prepend=-1))  # ascending input: the voxels of a word lie side by side
    bits = np.left_shift(np.uint64(1), (k % WORD_BITS).astype(np.uint64))
    words.reshape(-1)[cell[first]] = np.bitwise_or.reduceat(bits, first)
    return BitVolume(shape, (i0, j0, w0), words)


def grown(volume: BitVolume, ranges: tuple[tuple[int, int], ...]) -> BitVolume:
    """Every voxel also marks those at the offsets of each range (both ends included). What leaves the box is dropped, so
    the box must have room; bits past the end of the last axis may be set until a mask is applied."""
    if not volume.words.size:
        return volume
    x, y, z = ranges
    words = _spread(volume.words, z, _shift_bits)
    words = _spread(words, y, lambda w, step: _shift_axis(w, step, 1))
    words = _spread(words, x, lambda w, step: _shift_axis(w, step, 0))
    return BitVolume(volume.shape, volume.start, words)


def _spread(words: Words, offsets: tuple[int, int], shift: Callable[[Words, int], Words]) -> Words:
    """The union of the set moved by first, first + 1, ..., last. Two chains of single steps, away from the offset that is
    nearest to 0: a chain that turned back would have lost at the border what it moves."""
    first, last = offsets
    nearest = min(max(first, 0), last)
    start = shift(words, nearest) if nearest else words
    union = start
    for step, num_steps in ((1, last - nearest), (-1, nearest - first)):
        moved = start
        for _ in range(num_steps):
            moved = shift(moved, step)
            union = union | moved
    return union


def _shift_axis(words: Words, step: int, axis: int) -> Words:
    moved = np.zeros_like(words)
    size = words.shape[axis]
    if abs(step) < size:
        source, target = slice(max(0, -step), size - max(0, step)), slice(max(0, step), size - max(0, -step))
        lead = (slice(None),) * axis
        moved[(*lead, target)] = words[(*lead, source)]
    return moved


def _shift_bits(words: Words, step: int) -> Words:
    """By fewer than 64 voxels along z."""
    near, carry = np.uint64(abs(step)), np.uint64(WORD_BITS - abs(step))
    if step > 0:
        moved = words << near
        moved[..., 1:] |= words[..., :-1] >> carry
    else:
        moved = words >> near
        moved[..., :-1] |= words[..., 1:] << carry
    return moved


def _overlap(a: BitVolume, b: BitVolume) -> tuple[Words, Words] | None:
    """The words of both boxes where they meet."""
    start = [max(x, y) for x, y in zip(a.start, b.start, strict=True)]
    ends = ((x + m, y + n) for x, m, y, n in zip(a.start, a.words.shape, b.start, b.words.shape, strict=True))
    stop = [min(pair) for pair in ends]
    if any(first >= last for first, last in zip(start, stop, strict=True)):
        return None
    return _window(a, start, stop), _window(b, start, stop)


def _window(volume: BitVolume, start: list[int], stop: list[int]) -> Words:
    edges = zip(volume.start, start, stop, strict=True)
    return volume.words[tuple(slice(first - origin, last - origin) for origin, first, last in edges)]
