"""Read a depth map from the usual file formats; a bad file gives one plain sentence.

`.exr`, `.npy`, `.npz`, 16-bit PNG and TIFF. Whole numbers are millimetres and floats metres where no unit is given; 0 and NaN
are holes.
"""

import io
import os
import stat
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import Image

from panoptic3d.data.arrays import Expected, PathLike, array_names, read_array, read_npy, read_start
from panoptic3d.data.pictures import MAX_PIXELS, check_exr_chunks, check_png, hush_libtiff
from panoptic3d.errors import FOR_DATA_SETS, BadFileError, InputError, reading
from panoptic3d.files import read_file

DEPTH_ENDINGS = (".exr", ".npy", ".npz", ".png", ".tif", ".tiff")
_MILLIMETRE = 0.001
_NUMBERS = ("float16", "float32", "float64", "uint16", "int16", "uint32", "int32", "int64")
_ADVICE = "give a depth map of this photo, as .exr, .npy, .npz, 16-bit PNG or TIFF"
_KEYS, _CHANNELS = ("depth", "depth_m", "arr_0"), ("Z", "depth", "Depth", "depth.Z", "Depth.Z", "Y", "V", "R")
_MAX_BYTES = 1_000_000_000
_LEAST_SIDE_PX = 4
_LONGEST = 1e30
_SHAPES = ((1, None, None), (None, None, 1), (None, None))


def read_depth_file(path: PathLike, unit_m: float | None = None) -> Float32[np.ndarray, "h w"]:
    """Times the unit; NaN where nothing is known. The content decides what a file is, not its ending."""
    try:
        with reading(path, "a depth map"):
            values = _read(Path(path))
    except BadFileError as error:
        told = str(error).replace(FOR_DATA_SETS, _ADVICE)
        raise BadFileError(told, path=error.path, reason=error.reason, key=error.key) from error.__cause__
    return depth_array(values, os.fspath(path), unit_m)


def depth_array(values: np.ndarray, name: str, unit_m: float | None = None) -> Float32[np.ndarray, "h w"]:
    """Depth from an array in memory, by the same rules as from a file."""
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values[0] if values.shape[0] == 1 else values[:, :, 0]
    if values.ndim != 2 or values.dtype.name not in _NUMBERS:
        raise _bad(
            name, f"is {values.dtype} of shape {'x'.join(map(str, values.shape))} and no map of depths", "wrong_shape"
        )
    if min(values.shape) < _LEAST_SIDE_PX or values.size > MAX_PIXELS:
        raise _bad(name, f"has {values.shape[1]}x{values.shape[0]} pixels", "wrong_shape")
    if np.isinf(values).any():
        raise _bad(name, "holds infinite depths; write 0 or NaN where nothing was measured", "infinite_depth")
    scale = unit_m if unit_m is not None else _MILLIMETRE if np.issubdtype(values.dtype, np.integer) else 1.0
    scaled = np.where(values == 0, np.nan, values.astype(np.float64) * scale)
    metres = np.clip(scaled, -_LONGEST, _LONGEST).astype(np.float32)
    if (np.abs(scaled) > _LONGEST).any():
        raise _bad(name, "holds values beyond all lengths; check its unit", "infinite_depth")
    if np.isnan(metres).all():
        raise _bad(name, "holds nothing but holes (0 or NaN)", "nan_depth")
    return metres


def _read(path: Path) -> np.ndarray:
    """The numbers as they are."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise _bad(os.fspath(path), "is no ordinary file", "unreadable")
    if status.st_size > _MAX_BYTES:
        raise _bad(os.fspath(path), f"has more than {_MAX_BYTES:,} bytes", "too_large")
    start = read_start(path, 8)
    if start.startswith(b"\x93NUMPY"):
        return _of_any_shape(lambda expected: read_npy(path, expected))
    if start.startswith(b"PK\x03\x04"):
        return _read_npz(path)
    if start.startswith(b"v/1\x01"):
        return _read_exr(path)
    if start.startswith((b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")):
        return _read_picture(path)
    raise _bad(os.fspath(path), "is none of the files in which depth is kept", "wrong_mode")


def _of_any_shape(read: Callable[[Expected], np.ndarray]) -> np.ndarray:
    """A map, with an axis of one channel or one image before or behind it."""
    for shape in _SHAPES[:-1]:
        try:
            return read(Expected(shape, _NUMBERS))
        except BadFileError as error:
            if error.reason != "wrong_shape":
                raise
    return read(Expected(_SHAPES[-1], _NUMBERS))


def _read_npz(path: Path) -> np.ndarray:
    names = sorted(array_names(path))
    known = [name for name in _KEYS if name in names] or (names if len(names) == 1 else [])
    if not known:
        listed = ", ".join(names[:5]) or "nothing"
        raise _bad(os.fspath(path), f"holds {listed} and no array called depth", "wrong_key")
    return _of_any_shape(lambda expected: read_array(path, known[0], expected))


def _read_exr(path: Path) -> np.ndarray:
    import OpenEXR

    check_exr_chunks(path, read_file(path), None)
    with OpenEXR.File(os.fspath(path), separate_channels=True) as file:
        channels = {name: np.array(channel.pixels) for name, channel in file.channels().items()}
    if len(channels) == 1:
        return next(iter(channels.values()))
    for name in _CHANNELS:
        if name in channels:
            if name == "R" and any(not np.array_equal(channels["R"], c, equal_nan=True) for c in channels.values()):
                continue
            return channels[name]
    raise _bad(os.fspath(path), f"has the channels {', '.join(channels)[:60]} and none called Z or depth", "wrong_key")


def _read_picture(path: Path) -> np.ndarray:
    data = read_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if data.startswith(b"\x89PNG"):
            check_png(data, is_strict=False)
        hush_libtiff()
        image = Image.open(io.BytesIO(data), formats=["PNG", "TIFF"])
        if image.width * image.height > MAX_PIXELS:
            raise _bad(os.fspath(path), f"has {image.width}x{image.height} pixels", "too_large")
        if image.mode not in ("I;16", "I;16B", "I;16L", "I", "F"):
            kind = "colours" if len(image.getbands()) > 1 else "8 bits or fewer"
            raise _bad(
                os.fspath(path), f"has {kind} (mode {image.mode}); depth needs one channel of 16 bits", "wrong_mode"
            )
        image.load()
    values = np.asarray(image)
    return values if image.mode == "F" else values.astype(np.int32)


def _bad(name: str, what: str, reason: str) -> BadFileError:
    return BadFileError(f"{name} {what}; {_ADVICE}.", path=name, reason=reason)


def parse_unit(text: str) -> float:
    """`mm`, `cm`, `m`, `0.0002` or `1/5000`: metres of a step."""
    words = {"mm": 0.001, "cm": 0.01, "m": 1.0, "um": 1e-6, "in": 0.0254, "ft": 0.3048}
    above, _, below = text.partition("/")
    try:
        value = words[text] if text in words else float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        value = 0.0
    if not 1e-7 <= value <= 1000:
        raise InputError(f"--depth-unit is {text!r}; give mm, cm, m, or the metres of a step such as 0.001 or 1/5000.")
    return value
