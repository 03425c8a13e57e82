"""Read arrays from npz and npy files, without pickles and large ones in slabs. A bad file gives one plain sentence.

A volume of the releases inflates to 134 MB of which 2 % matter. Reading it slab by slab keeps one slab (0.5 MB) in the
processor's cache and the rest out of memory.
"""

import contextlib
import math
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from panoptic3d.data.reasons import bad_file
from panoptic3d.errors import InputError, reading
from panoptic3d.files import open_file

_ZIP_MAGIC, _NPY_MAGIC = b"PK\x03\x04", b"\x93NUMPY"
_CODECS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAX_HEADER_BYTES = 1 << 17
_READ_BYTES = 1 << 16  # what inflates fastest: larger pieces leave the cache between inflating, checksum and copy
PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Expected:
    """Required type and shape of an array. A `None` in the shape allows any size."""

    shape: tuple[int | None, ...]
    dtypes: tuple[str, ...]

    def __str__(self) -> str:
        shape = "x".join("any" if size is None else str(size) for size in self.shape) or "scalar"
        return f"{' or '.join(self.dtypes)} of shape {shape}"

    def admits_shape(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == len(self.shape) and all(
            want in (None, have) for want, have in zip(self.shape, shape, strict=True)
        )


def read_start(path: PathLike, num_bytes: int = 8) -> bytes:
    """The first bytes of a file that must be there and must not be empty."""
    with reading(path, "a file"), open_file(path) as file:
        start = file.read(num_bytes)
    if not start:
        raise bad_file(path, "empty", expected="data", found="0 bytes")
    return start


def read_array(path: PathLike, key: str, expected: Expected) -> np.ndarray:
    """A whole array of an npz, in this machine's byte order."""
    with reading(path, str(expected), key), _open_member(path, key) as (file, num_bytes):
        shape, dtype = _read_header(path, key, file, expected, num_bytes)
        return _native(_read_exactly(path, key, file, dtype, shape))


def read_slabs(path: PathLike, key: str, expected: Expected) -> Iterator[np.ndarray]:
    """The last two axes of an array at a time, in a buffer that is used again: copy what you keep."""
    with reading(path, str(expected), key), _open_member(path, key) as (file, num_bytes):
        shape, dtype = _read_header(path, key, file, expected, num_bytes)
        slab = np.empty(shape[-2:], dtype)
        for _ in range(math.prod(shape[:-2])):
            _fill(path, key, file, slab)
            yield _native(slab)
        _read_exactly(path, key, file, np.dtype("u1"), (0,))  # the checksum is compared at the end of the member


def array_names(path: PathLike) -> frozenset[str]:
    """Names of the arrays in an npz file."""
    with reading(path, "an npz archive"), _open_archive(path) as archive:
        return frozenset(name.removesuffix(".npy") for name in archive.namelist())


def read_npy(path: PathLike, expected: Expected) -> np.ndarray:
    """A whole array of an npy file."""
    if not _NPY_MAGIC.startswith(read_start(path, len(_NPY_MAGIC))):
        raise bad_file(path, "not_npy", expected="an npy array", found="another kind of file")
    with reading(path, str(expected)), open_file(path) as file:
        shape, dtype = _read_header(path, None, file, expected, os.fstat(file.fileno()).st_size)
        return _native(_read_exactly(path, None, file, dtype, shape))


def array_of(tensor: Tensor, what: str) -> np.ndarray:
    """The tensor as a numpy array, from any device; bfloat16 becomes float32. `what` names the tensor in error messages."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_complex() or tensor.is_quantized:
        found = f"{tensor.dtype} {tensor.layout} {tuple(tensor.shape)} on {tensor.device}"
        raise InputError(f"{what} in memory is a dense tensor of real numbers, this is {found}; convert it.")
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


@contextlib.contextmanager
def _open_archive(path: PathLike) -> Iterator[zipfile.ZipFile]:
    start = read_start(path, 4)
    if not _ZIP_MAGIC.startswith(start):
        raise bad_file(path, "not_npz", expected="an npz archive", found="another kind of file")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError):  # the directory lies at the end of the file
        size = Path(path).stat().st_size
        found = f"{size} bytes without the directory that ends an archive"
        raise bad_file(path, "truncated", expected="a whole npz archive", found=found) from None
    with archive:
        yield archive


@contextlib.contextmanager
def _open_member(path: PathLike, key: str) -> Iterator[tuple[BufferedIOBase, int]]:
    """Open the bytes of one array, and the size that the archive's directory states."""
    with _open_archive(path) as archive:
        names = archive.namelist()
        if f"{key}.npy" not in names:
            found = ", ".join(name.removesuffix(".npy") for name in names) or "no arrays"
            raise bad_file(path, "wrong_key", expected=f"an array `{key}`", found=found, key=key)
        if names.count(f"{key}.npy") > 1:
            raise bad_file(path, "ambiguous", expected=f"one array `{key}`", found="several", key=key)
        info = archive.getinfo(f"{key}.npy")
        if info.compress_type not in _CODECS:
            raise bad_file(path, "corrupt", expected="deflated data", found=f"method {info.compress_type}", key=key)
        with archive.open(info) as file:
            assert isinstance(file, BufferedIOBase)
            yield file, info.file_size


def _read_header(
    path: PathLike, key: str | None, file: BufferedIOBase, expected: Expected, num_bytes: int
) -> tuple[tuple[int, ...], np.dtype]:
    """Read and check the header of an array before allocating memory for it."""
    with reading(path, "the header of an array", key):
        version = np.lib.format.read_magic(file)  # pyright: ignore[reportArgumentType]
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(file)  # pyright: ignore[reportArgumentType]
    if dtype.hasobject:
        raise bad_file(path, "pickled", expected=str(expected), found="pickled Python objects", key=key)
    found = f"{dtype} of shape {'x'.join(map(str, shape)) or 'scalar'}"
    if dtype.newbyteorder("=").name not in expected.dtypes:
        raise bad_file(path, "wrong_dtype", expected=str(expected), found=found, key=key)
    if not expected.admits_shape(shape):
        raise bad_file(path, "wrong_shape", expected=str(expected), found=found, key=key)
    if is_fortran and len(shape) > 1:
        raise bad_file(path, "wrong_shape", expected="C order", found="Fortran order", key=key)
    wanted = math.prod(shape) * dtype.itemsize
    if not wanted <= num_bytes <= wanted + _MAX_HEADER_BYTES:
        sizes = (f"{wanted:,} bytes of values", f"{num_bytes:,} bytes in all")
        reason = "truncated" if num_bytes < wanted else "corrupt"
        raise bad_file(path, reason, expected=sizes[0], found=sizes[1], key=key)
    return shape, dtype


def _native(array: np.ndarray) -> np.ndarray:
    """Convert to native byte order, because later code reads the bits of values."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _read_exactly(
    path: PathLike, key: str | None, file: BufferedIOBase, dtype: np.dtype, shape: tuple[int, ...]
) -> np.ndarray:
    array = np.empty(shape, dtype)
    _fill(path, key, file, array)
    if file.read(1):
        raise bad_file(path, "corrupt", expected=f"{array.nbytes} bytes of values", found="more than that", key=key)
    return array


def _fill(path: PathLike, key: str | None, file: BufferedIOBase, array: np.ndarray) -> None:
    view = array.reshape(-1).view(np.uint8).data
    position = 0
    while position < len(view):
        piece = file.read(min(_READ_BYTES, len(view) - position))
        if not piece:
            found = f"{position} bytes"
            raise bad_file(path, "truncated", expected=f"{len(view)} bytes of values", found=found, key=key)
        view[position : position + len(piece)] = piece
        position += len(piece)
