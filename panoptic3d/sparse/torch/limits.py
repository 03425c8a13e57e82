"""From where on each kernel of plain PyTorch is the fastest: every threshold, as measured on two cores (docs/sparse.md)."""

import math

# Winograd's tiles.
LEAST_VOXELS_OF_TILES = 1024
LEAST_FILL_OF_TILES = {
    (3, 2): 0.55,
    (3, 4): 0.45,
    (5, 2): 0.55,
    (5, 4): 0.35,
}  # by taps along an axis and size of the tile
LEAST_LINES_OF_TILES = 0.7  # a set of thin lines fills no tiles: not worth a look
LEAST_PRODUCT_OF_TILES = 200  # of channels in and out
MOST_OUT_OF_NARROW_TILES = 2

# Products first, then sums.
LEAST_OUT_OF_SUMS, MOST_OUT_OF_SUMS = 8, 16  # channels; the most is for a set with itself
MOST_IN_OF_LINED_SUMS = 16
LEAST_FILL_OF_SUMS = 0.7  # of lines, and of the cells that a step up makes

# Lines of three taps instead of single taps, by products of channels up to the first number.
_LEAST_FILLS_OF_LINES = ((256, 0.48), (1024, 0.72), (4096, 0.76))

# Zeros that are multiplied to save a call.
_LEAST_PRODUCT = 256  # below, the gather costs more than the product, and a schedule for 256 serves as well
_CALL_SECONDS, _GATHER_SECONDS, _FLOPS = 13e-6, 8e-9, 85e9  # of one core


def least_fill_of_lines(channel_product: int) -> float:
    """From which share of occupied cells in the lines on these are faster."""
    fills = _LEAST_FILLS_OF_LINES
    return next((fill for product, fill in fills if channel_product <= product), fills[-1][1])


def max_waste(channel_product: int) -> int:
    """Row-taps of zeros that cost as much as one more call, to the next power of two so that layers share schedules."""
    seconds = _GATHER_SECONDS + 2 * max(channel_product, _LEAST_PRODUCT) / _FLOPS
    return 1 << max(5, math.ceil(math.log2(_CALL_SECONDS / seconds)))
