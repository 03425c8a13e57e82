"""Procedural textures: linear colour of surface points, faded to its mean where a pixel is coarser than the pattern."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int
from PIL import Image

from panoptic3d.errors import InputError, reading
from panoptic3d.randomness import derive_seed, numpy_generator
from panoptic3d.rooms.scene import Material

_SIZE = 256  # of the table that all noise is read from; it repeats after as many lattice steps
_TABLE = numpy_generator(0, "texture noise").random((_SIZE, _SIZE), np.float32)


def albedo(
    materials: tuple[Material, ...],
    material_of: Int[np.ndarray, " n"],
    uv_m: Float[np.ndarray, "n 2"],
    footprint_m: Float[np.ndarray, " n"],
) -> Float32[np.ndarray, "n 3"]:
    """Reflectance of points. `footprint_m` is how far apart the points of neighbouring pixels lie."""
    colors = np.empty((len(material_of), 3), np.float32)
    order = np.argsort(material_of, kind="stable")
    for chosen in np.split(order, np.flatnonzero(np.diff(material_of[order])) + 1):
        if len(chosen) == 0:
            continue
        material = materials[int(material_of[chosen[0]])]
        u, v = uv_m[chosen].astype(np.float32).T
        colors[chosen] = _KINDS[material.texture](material, u, v, footprint_m[chosen].astype(np.float32))
    return np.clip(colors, 0.0, 0.95)


@lru_cache(maxsize=4096)
def mean_albedo(material: Material) -> tuple[float, float, float]:
    """Over a square of a few repeats."""
    points = numpy_generator(0, "mean albedo").uniform(0, 4 * material.scale_m, (64, 2))
    red, green, blue = albedo((material,), np.zeros(64, np.int32), points, np.full(64, 0.02)).mean(axis=0).tolist()
    return red, green, blue


def _plain(material: Material, u: np.ndarray, v: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Paint: hardly visible unevenness."""
    shade = 1 + 0.05 * (_octaves(material, u, v, footprint, 0.5, 3) - 0.5)
    return _color(material) * shade[:, None]


def _wood(material: Material, u: np.ndarray, v: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Grain along u: broad flames of growth rings cut lengthwise, fine streaks, and pores."""
    bend = _noise(material, u / 0.5, v / 0.1, 0)
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (v / 0.05 + 3.0 * bend + 0.3 * u))
    rings = 0.5 + (rings - 0.5) * _visible(footprint, 0.05)
    streaks = 0.5 + (_noise(material, u / 0.35, v / 0.008, 3) - 0.5) * _visible(footprint, 0.016)
    pores = (_noise(material, u / 0.05, v / 0.003, 1) - 0.5) * _visible(footprint, 0.006)
    tone = 0.22 * rings + 0.3 * streaks + 0.48 * _noise(material, u / 0.7, v / 0.07, 2) + 0.2 * pores
    return _mix(material, np.clip(0.1 + 0.62 * tone, 0, 1))


def _planks(material: Material, u: np.ndarray, v: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Boards of width `scale_m` and seven to eleven times as long, each of its own tone, with dark joints."""
    width = max(material.scale_m, 0.02)
    row = np.floor(v / width)
    length = width * (7 + 4 * _hash(material, row, 0))
    along = u / length + _hash(material, row, 1)
    board = row * 131 + np.floor(along)
    grain = _wood(material, u + 7.3 * _hash(material, board, 2), v + 3.1 * _hash(material, board, 3), footprint)
    tone = 1 + 0.28 * (_hash(material, board, 4) - 0.5)[:, None]
    joint = np.maximum(
        _line(v / width, 0.003 / width, footprint / width), _line(along, 0.003 / length, footprint / length)
    )
    return grain * tone * (1 - 0.6 * joint)[:, None]


def _tiles(material: Material, u: np.ndarray, v: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Squares of `scale_m` with joints of the other colour."""
    size = max(material.scale_m, 0.03)
    tile = np.floor(u / size) * 57 + np.floor(v / size)
    tone = 1 + 0.1 * (_hash(material, tile, 0) - 0.5)
    tone *= 1 + 0.12 * (_octaves(material, u + 5 * _hash(material, tile, 1), v, footprint, 0.25, 4) - 0.5)
    joint = np.maximum(_line(u / size, 0.005 / size, footprint / size), _line(v / size, 0.005 / size, footprint / size))
    return _blend(_color(material) * tone[:, None], np.asarray(material.color_2, np.float32), joint)


def _carpet(material: Material, u: np.ndarray, v: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    pile = _octaves(material, u, v, footprint, 0.02, 3)
    wear = _octaves(material, u, v, footprint, 0.6, 3)
    return _mix(material, np.clip(0.3 + 0.9 * (pile - 0.5) + 0.7 * (wear - 0.5), 0, 1))


def _cloth(material: Material, u: np.ndarray, v: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Crossing threads, and folds too soft to be shape."""
    thread = np.sin(2 * np.pi * u / 0.006) * np.sin(2 * np.pi * v / 0.006) * _visible(footprint, 0.006)
    soft = _octaves(material, u, v, footprint, 0.25, 3)
    mixed = _mix(material, np.clip(0.12 + 0.12 * thread + 0.35 * (soft - 0.5), 0, 1))
    return mixed * (1 + 0.08 * thread)[:, None]


def _marble(material: Material, u: np.ndarray, v: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    size = max(material.scale_m, 0.1)
    warp = _octaves(material, u, v, footprint, size, 4)
    vein = np.abs(_octaves(material, u + size * warp, v + 0.6 * size * warp, footprint, 0.9 * size, 5) - 0.5) * 2
    share = np.exp(-9 * vein) + 0.12 * warp
    return _mix(material, np.clip(0.4 + (share - 0.4) * _visible(footprint, 0.3 * size), 0, 1))


def _stripes(material: Material, u: np.ndarray, v: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    period = max(material.scale_m, 0.01)
    share = _square_wave(u / period, footprint / period)
    return _mix(material, share) * (1 + 0.04 * (_octaves(material, u, v, footprint, 0.3, 2) - 0.5))[:, None]


def _brick(material: Material, u: np.ndarray, v: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Bricks `scale_m` long and a third as high, in mortar of the other colour."""
    long = max(material.scale_m, 0.05)
    high = long / 3
    row = np.floor(v / high)
    along = u / long + 0.5 * (row % 2)
    stone = row * 91 + np.floor(along)
    tone = 1 + 0.35 * (_hash(material, stone, 0) - 0.5) + 0.3 * (_octaves(material, u, v, footprint, 0.05, 3) - 0.5)
    joint = np.maximum(_line(v / high, 0.012 / high, footprint / high), _line(along, 0.012 / long, footprint / long))
    return _blend(_color(material) * tone[:, None], np.asarray(material.color_2, np.float32), joint)


def _picture(material: Material, u: np.ndarray, v: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """A painting that follows from the seed: a landscape, fields of colour, or circles."""
    random = numpy_generator(material.seed, "picture")
    size = max(material.scale_m, 0.1)
    x, y = u / size, v / size
    grey = random.uniform(0.04, 0.75, (5, 1)) ** 1.3
    palette = (grey * (1 + random.uniform(-0.45, 0.45, (5, 3)))).astype(np.float32)
    palette[0] = _color(material)
    palette[1] = np.asarray(material.color_2, np.float32)
    match int(random.integers(3)):
        case 0:  # hills behind hills under a sky
            colors = palette[0] + (palette[1] - palette[0]) * np.clip(y % 1.0, 0, 1)[:, None]
            for n, height in enumerate((0.62, 0.45, 0.27)):
                ridge = height + 0.16 * (_noise(material, x * 3.1 + 9 * n, np.zeros_like(x), n) - 0.5)
                colors = _blend(
                    colors, palette[2 + n], np.clip(0.5 + (ridge - y % 1.0) * size / np.maximum(footprint, 1e-3), 0, 1)
                )
            return colors
        case 1:  # fields
            cuts = np.sort(random.uniform(0.1, 0.9, 3))
            column = np.searchsorted(cuts, x % 1.0)
            row = np.searchsorted(np.sort(random.uniform(0.1, 0.9, 2)), y % 1.0)
            field = palette[(column * 2 + row * 3 + material.seed) % 5]
            return field * (1 + 0.15 * (_octaves(material, u, v, footprint, 0.08, 3) - 0.5))[:, None]
        case _:  # circles
            colors = np.broadcast_to(palette[0], (len(u), 3)).copy()
            for n in range(6):
                centre, radius = random.uniform(0, 1, 2), random.uniform(0.06, 0.3)
                inside = radius - np.hypot(x % 1.0 - centre[0], y % 1.0 - centre[1])
                colors = _blend(
                    colors, palette[1 + n % 4], np.clip(0.5 + inside * size / np.maximum(footprint, 1e-3), 0, 1)
                )
            return colors


def _file(material: Material, u: np.ndarray, v: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """A picture repeated every `scale_m`, from the level of its pyramid that fits the footprint."""
    levels = _pyramid(material.file)
    texel_m = material.scale_m / levels[0].shape[1]
    level = np.log2(np.maximum(np.median(footprint) / max(texel_m, 1e-6), 1))
    image = levels[min(round(float(level)), len(levels) - 1)]
    height, width = image.shape[:2]
    x, y = (u / material.scale_m * width - 0.5), (-v / material.scale_m * width - 0.5)
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    a, b = (x - column)[:, None], (y - row)[:, None]
    texels = [[image[(row + j) % height, (column + i) % width] for i in (0, 1)] for j in (0, 1)]
    mixed = [(1 - a) * left + a * right for left, right in texels]
    return ((1 - b) * mixed[0] + b * mixed[1]) * _color(material)


@lru_cache(maxsize=64)
def _pyramid(path: str) -> tuple[np.ndarray, ...]:
    if not Path(path).is_file():
        raise InputError(f"the texture {path!r} is not there; give the folder of your assets again.")
    with (
        reading(path, "a texture as PNG", advice="import the library again"),
        Image.open(path, formats=("PNG",)) as opened,
    ):
        image = (np.asarray(opened.convert("RGB"), np.float32) / 255) ** 2.2
    levels = [image]
    while min(levels[-1].shape[:2]) > 1:
        last = levels[-1]
        last = last[: last.shape[0] // 2 * 2, : last.shape[1] // 2 * 2]
        levels.append((last[::2, ::2] + last[1::2, ::2] + last[::2, 1::2] + last[1::2, 1::2]) / 4)
    return tuple(levels)


_KINDS: dict[str, Callable[[Material, np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "plain": _plain,
    "wood": _wood,
    "tiles": _tiles,
    "planks": _planks,
    "carpet": _carpet,
    "cloth": _cloth,
    "marble": _marble,
    "stripes": _stripes,
    "brick": _brick,
    "picture": _picture,
    "file": _file,
}


def _color(material: Material) -> np.ndarray:
    return np.asarray(material.color, np.float32)


def _mix(material: Material, share: np.ndarray) -> np.ndarray:
    """From the first colour (share 0) to the second (1)."""
    return _blend(_color(material), np.asarray(material.color_2, np.float32), share)


def _blend(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    return first + (second - first) * share[:, None].astype(np.float32)


def _visible(footprint: np.ndarray, wavelength: float) -> np.ndarray:
    """1 where a pattern is resolved, 0 where two of its waves fall into one pixel."""
    return np.clip(2 - 4 * footprint / wavelength, 0, 1)


def _line(x: np.ndarray, width: np.ndarray | float, footprint: np.ndarray) -> np.ndarray:
    """The share of a pixel that a line around each whole number covers; all in repeats."""
    off = np.abs(x - np.rint(x))
    span = np.maximum(footprint, 1e-6)
    high = np.minimum(off + span / 2, width / 2)
    low = np.maximum(off - span / 2, -width / 2)
    return np.clip((high - low) / span, 0, 1)


def _square_wave(x: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """1 on the second half of every repeat, averaged over the footprint."""
    span = np.maximum(footprint, 1e-4)

    def integral(t: np.ndarray) -> np.ndarray:
        whole = np.floor(t)
        return whole / 2 + np.maximum(t - whole - 0.5, 0)

    return (integral(x + span / 2) - integral(x - span / 2)) / span


def _octaves(
    material: Material, u: np.ndarray, v: np.ndarray, footprint: np.ndarray, size_m: float, count: int
) -> np.ndarray:
    """Noise of mean 0.5 whose parts below the footprint are left out."""
    total = np.full(len(u), 0.5, np.float32)
    for n in range(count):
        wavelength = size_m / 2**n
        visible = _visible(footprint, wavelength)
        if visible.max() == 0:
            break
        total += 0.5**n * 0.7 * visible * (_noise(material, u / wavelength, v / wavelength, 10 + n) - 0.5)
    return total


def _noise(material: Material, x: np.ndarray, y: np.ndarray, channel: int) -> np.ndarray:
    """Smooth noise in [0, 1] with a lattice of 1."""
    shift = derive_shift(material.seed, channel)
    column, row = np.floor(x), np.floor(y)
    a, b = x - column, y - row
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    i, j = column.astype(np.int32) + shift[0], row.astype(np.int32) + shift[1]
    i0, i1, j0, j1 = (i & 255) << 8, ((i + 1) & 255) << 8, j & 255, (j + 1) & 255
    table = _TABLE.reshape(-1)
    near = table.take(i0 + j0) * (1 - a) + table.take(i1 + j0) * a
    far = table.take(i0 + j1) * (1 - a) + table.take(i1 + j1) * a
    return near * (1 - b) + far * b


def _hash(material: Material, number: np.ndarray, channel: int) -> np.ndarray:
    """A random number in [0, 1] for each whole number."""
    shift = derive_shift(material.seed, channel)
    whole = number.astype(np.int64)
    return _TABLE.reshape(-1).take((whole * 7919 + shift[0] * 131 + shift[1]) & (_SIZE * _SIZE - 1))


@lru_cache(maxsize=65536)
def derive_shift(seed: int, channel: int) -> tuple[int, int]:
    """Where in the table a material's noise begins."""
    value = derive_seed(seed, "texture", channel)
    return value & 0xFFFF, (value >> 16) & 0xFFFF
