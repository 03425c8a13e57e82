"""Photos and depth maps: decoded whole, or refused in one plain sentence."""

import ctypes
import functools
import io
import os
import struct
import warnings
import zlib
from contextlib import suppress

import numpy as np
from PIL import Image

from panoptic3d.data.arrays import PathLike, read_start
from panoptic3d.data.reasons import bad_file
from panoptic3d.errors import reading
from panoptic3d.files import read_file

_PNG_MAGIC, _JPEG_MAGIC, _EXR_MAGIC = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"v/1\x01"
_PNG_END, _JPEG_END = b"IEND\xaeB`\x82", b"\xff\xd9"
DEPTH_CHANNEL = "Z"
MAX_PIXELS = 100_000_000
MATTERPORT_DEPTH_PER_M = 4000.0
_EXR_ROWS_PER_CHUNK = {0: 1, 2: 1, 3: 16}  # compression id (none, ZIP of single rows, ZIP) -> rows


def read_png(path: PathLike, size: tuple[int, int]) -> np.ndarray:
    """uint8 [h, w, 3] of an RGB PNG of `size` (width, height)."""
    return _read_rgb(path, size, "PNG", _PNG_MAGIC, "not_png", _PNG_END)


def read_jpeg(path: PathLike, size: tuple[int, int]) -> np.ndarray:
    """uint8 [h, w, 3] of an RGB JPEG of `size` (width, height)."""
    return _read_rgb(path, size, "JPEG", _JPEG_MAGIC, "not_jpeg", _JPEG_END)


def read_depth_exr(path: PathLike, size: tuple[int, int]) -> np.ndarray:
    """float32 [h, w] of the channel `Z`: metres along the optical axis."""
    if not _EXR_MAGIC.startswith(read_start(path, 4)):
        raise bad_file(path, "not_exr", expected="an OpenEXR image", found="another kind of file")
    with reading(path, "a sound OpenEXR image"):
        check_exr_chunks(path, read_file(path), size)
        depth = _read_exr_channel(path)
    if depth.dtype != np.float32:
        raise bad_file(path, "wrong_dtype", expected="float32", found=str(depth.dtype), key=DEPTH_CHANNEL)
    _check_size(path, (depth.shape[1], depth.shape[0]), size, key=DEPTH_CHANNEL)
    check_depth(path, depth, key=DEPTH_CHANNEL)
    return depth


def read_depth_png(path: PathLike, size: tuple[int, int]) -> np.ndarray:
    """float32 [h, w] in metres of a 16-bit PNG in units of 1/4000 m."""
    image = _open_image(path, size, "PNG", _PNG_MAGIC, "not_png", _PNG_END)
    if image.mode not in ("I;16", "I;16B", "I"):
        raise bad_file(path, "wrong_mode", expected="one channel of 16 bits", found=f"mode {image.mode}")
    _check_size(path, image.size, size)
    return (np.asarray(image).astype(np.float64) / MATTERPORT_DEPTH_PER_M).astype(np.float32)


def check_depth(path: PathLike, depth_m: np.ndarray, key: str | None = None) -> None:
    """Depths are finite and at least 0, where 0 means not measured."""
    for reason, is_bad in (
        ("nan_depth", np.isnan(depth_m)),
        ("infinite_depth", np.isinf(depth_m)),
        ("negative_depth", depth_m < 0),
    ):
        if is_bad.any():
            row, column = np.argwhere(is_bad)[0]
            found = f"{depth_m[row, column]} at row {row}, column {column} and {is_bad.sum() - 1} more"
            raise bad_file(path, reason, expected="finite depths of at least 0 m", found=found, key=key)


def _read_rgb(
    path: PathLike, size: tuple[int, int], kind: str, magic: bytes, reason: str, end_mark: bytes
) -> np.ndarray:
    image = _open_image(path, size, kind, magic, reason, end_mark)
    if image.mode != "RGB":
        raise bad_file(path, "wrong_mode", expected="RGB of 8 bits", found=f"mode {image.mode}")
    _check_size(path, image.size, size)
    return np.asarray(image)


def _open_image(
    path: PathLike, size: tuple[int, int], kind: str, magic: bytes, reason: str, end_mark: bytes
) -> Image.Image:
    if not magic.startswith(read_start(path, len(magic))):
        raise bad_file(path, reason, expected=f"a {kind}", found="another kind of file")
    with reading(path, f"a {kind}"):
        data = read_file(path)
    if (
        end_mark not in data[-64:]
    ):  # Pillow accepts a file without its last chunk; refuse it, since the copy was interrupted
        found = f"{len(data)} bytes without the mark that ends one"
        raise bad_file(path, "truncated", expected=f"a whole {kind}", found=found)
    with reading(path, f"a sound {kind}"), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        if kind == "PNG":
            check_png(data)
        image = Image.open(io.BytesIO(data), formats=[kind])
        _check_size(path, image.size, size)  # before its pixels take memory
        image.load()
    return image


@functools.cache
def hush_libtiff() -> None:
    """libtiff writes what it thinks of a file to the terminal. Pillow's module leads to the copy that it was linked with."""
    with suppress(AttributeError, OSError):
        library = ctypes.CDLL(Image.core.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


def check_png(data: bytes, is_strict: bool = True) -> None:
    """Verify the checksum of every chunk; Pillow skips those of pixels. Not strict: only chunks that pixels depend on."""
    position, kind = len(_PNG_MAGIC), b""
    while kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + size
        (checksum,) = struct.unpack_from(">I", data, end)
        is_needed = is_strict or not kind[0] & 0x20  # small letters begin what a decoder may pass over
        if is_needed and zlib.crc32(memoryview(data)[position + 4 : end]) != checksum:
            raise ValueError(f"another checksum in its part {kind.decode('latin-1')!r} at byte {position}")
        position = end + 4


def _check_size(path: PathLike, found: tuple[int, int], expected: tuple[int, int], key: str | None = None) -> None:
    if tuple(found) != tuple(expected):
        sizes = [f"{width}x{height} pixels" for width, height in (expected, found)]
        raise bad_file(path, "wrong_shape", expected=sizes[0], found=sizes[1], key=key)


def _read_exr_channel(path: PathLike) -> np.ndarray:
    import OpenEXR

    with OpenEXR.File(os.fspath(path)) as file:
        channels = file.channels()
        if DEPTH_CHANNEL not in channels:
            found = ", ".join(channels) or "no channels"
            raise bad_file(path, "wrong_key", expected="a channel `Z`", found=found, key=DEPTH_CHANNEL)
        return np.array(channels[DEPTH_CHANNEL].pixels)


def check_exr_chunks(path: PathLike, data: bytes, size: tuple[int, int] | None) -> None:
    """Find a broken file before OpenEXR does, which reports it on the terminal, past every error handler. Without a `size`
    any that has no more pixels than a photo may have.
    """
    try:
        header, offset = _exr_header(data)
        rows = _EXR_ROWS_PER_CHUNK.get(header["compression"][0])
        x_min, y_min, x_max, y_max = struct.unpack("<4i", header["dataWindow"])
        found = (x_max - x_min + 1, y_max - y_min + 1)
        if size is not None:
            _check_size(path, found, size, key=DEPTH_CHANNEL)  # before memory is taken
        elif min(found) < 1 or found[0] * found[1] > MAX_PIXELS:
            raise bad_file(path, "too_large", expected=f"at most {MAX_PIXELS:,} pixels", found=f"{found[0]}x{found[1]}")
        if rows is None or data[5] & 0x1A:  # other compressions, tiles, deep data, several parts: left to OpenEXR
            return
        row_bytes = (x_max - x_min + 1) * _exr_pixel_bytes(header["channels"])
        num_chunks = (y_max - y_min) // rows + 1
        for start in struct.unpack_from(f"<{num_chunks}Q", data, offset):
            y, num_bytes = struct.unpack_from("<ii", data, start)
            if start + 8 + num_bytes > len(data):
                raise struct.error(f"a chunk of {num_bytes} bytes at byte {start} of {len(data)}")
            if num_bytes < min(rows, y_max - y + 1) * row_bytes:  # else it is stored as it is
                zlib.decompress(data[start + 8 : start + 8 + num_bytes])
    except (struct.error, IndexError, KeyError, ValueError) as error:
        found = f"an early end ({error})"
        raise bad_file(path, "truncated", expected="a whole OpenEXR image", found=found) from None


def _exr_pixel_bytes(channels: bytes) -> int:
    """Bytes of a pixel over all channels; an entry is a name, its type (1 is half) and 12 more bytes."""
    num_bytes, offset = 0, 0
    while channels[offset] != 0:
        offset = channels.index(b"\0", offset) + 1
        (kind,) = struct.unpack_from("<i", channels, offset)
        num_bytes += 2 if kind == 1 else 4
        offset += 16
    return num_bytes


def _exr_header(data: bytes) -> tuple[dict[str, bytes], int]:
    """The attributes, and where the table of chunks starts."""
    header, offset = {}, 8
    while data[offset] != 0:
        name_end = data.index(b"\0", offset)
        kind_end = data.index(b"\0", name_end + 1)
        (size,) = struct.unpack_from("<i", data, kind_end + 1)
        header[data[offset:name_end].decode("latin-1")] = data[kind_end + 5 : kind_end + 5 + size]
        offset = kind_end + 5 + size
    return header, offset + 1
