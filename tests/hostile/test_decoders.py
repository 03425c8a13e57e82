"""What decoders do to us, and what they overlook: one net takes every exception, and a picture is right or refused."""

import builtins
import errno
import io
import json
import lzma
import os
import pickle
import signal
import struct
import tokenize
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import safetensors
import yaml
import zstandard
from PIL import Image, UnidentifiedImageError

from panoptic3d.data.pictures import read_depth_png, read_png
from panoptic3d.errors import BadFileError, InputError, MissingPartError, reading
from panoptic3d.predictor.photos import load_photo
from tests.hostile.test_fuzz import KINDS, Reader

_OF_DECODERS = (
    *(zlib.error("x"), lzma.LZMAError("x"), zipfile.BadZipFile("x"), zipfile.LargeZipFile("x"), struct.error("x")),
    *(tokenize.TokenError("x", (1, 1)), json.JSONDecodeError("x", "y", 0), pickle.UnpicklingError("x")),
    *(yaml.YAMLError("x"), yaml.constructor.ConstructorError("x"), zstandard.ZstdError("x")),
    *(UnidentifiedImageError("x"), Image.DecompressionBombError("x"), safetensors.SafetensorError("x")),
)  # fmt: skip


def _every_exception() -> Iterator[Exception]:
    """One of each kind that Python has, one of each number that the system may give, and those of the decoders."""
    yield from _OF_DECODERS
    yield from (OSError(number, "refused", "a") for number in errno.errorcode)
    for kind in vars(builtins).values():
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, Warning):
            if issubclass(kind, UnicodeDecodeError):
                yield kind("utf-8", b"\xff", 0, 1, "x")
            elif issubclass(kind, UnicodeEncodeError):
                yield kind("ascii", "\xe4", 0, 1, "x")
            elif issubclass(kind, UnicodeTranslateError):
                yield kind("\xe4", 0, 1, "x")
            elif issubclass(kind, ExceptionGroup):
                yield kind("x", [ValueError("y")])
            else:
                yield kind("x")


def test_the_net_takes_every_exception_and_names_the_file() -> None:
    num = 0
    for error in _every_exception():
        with pytest.raises(BadFileError, match="rooms/a") as caught, reading("rooms/a", "a room"):
            raise error
        assert caught.value.reason in ("corrupt", "missing", "truncated", "unreadable", "too_large"), error
        assert caught.value.__cause__ is error
        num += 1
    assert num > 180


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit, MissingPartError])
def test_the_net_lets_through_what_no_file_does(stop: type[BaseException]) -> None:
    with pytest.raises(stop), reading("a"):
        raise stop


_ENTRIES = {  # of readers: what stands between them and a decoder
    "photo": "PIL.Image.open", "rgb": "PIL.Image.open", "depth png": "PIL.Image.open", "depth exr": "OpenEXR.File",
    "given exr": "OpenEXR.File", "given npy": "numpy.lib.format.read_magic", "given png": "PIL.Image.open",
    "card": "json.loads", "prediction": "zipfile.ZipFile", "npy": "numpy.lib.format.read_magic", "pth": "torch.load",
    "scene.json": "json.loads", "index": "json.loads", "yaml": "panoptic3d.config._StrictLoader",
}  # fmt: skip
_QUICK = (RuntimeError, KeyError, AssertionError, NotImplementedError, RecursionError, MemoryError, AttributeError)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "split"])
def test_every_reader_stands_behind_the_net(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, make, read = KINDS[kind]
    entry = next(place for start, place in _ENTRIES.items() if kind.startswith(start))
    (tmp_path / name).write_bytes(make())
    read(tmp_path / name)
    for error in (*_OF_DECODERS, OSError(errno.EIO, "refused"), *(kind("x") for kind in _QUICK)):
        decoder = Mock(side_effect=error)
        monkeypatch.setattr(entry, decoder)
        with pytest.raises(InputError):
            read(tmp_path / name)
        assert decoder.called


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "yaml"])
def test_no_reader_waits_for_a_pipe(kind: str, tmp_path: Path) -> None:
    name, _, read = KINDS[kind]
    os.mkfifo(tmp_path / name)

    def waits(*_: object) -> None:
        pytest.fail("it waits")

    before = signal.signal(signal.SIGALRM, waits)
    signal.alarm(5)
    try:
        with pytest.raises(InputError, match=r"ordinary file|not there|nothing"):
            read(tmp_path / name)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "yaml"])
def test_no_reader_takes_the_memory_of_a_huge_file(kind: str, tmp_path: Path) -> None:
    """Sparse, with the head of a sound one."""
    name, make, read = KINDS[kind]
    with (tmp_path / name).open("wb") as file:
        file.write(make())
        file.truncate(8 << 40)
    with pytest.raises(InputError):
        read(tmp_path / name)


def _flips(data: bytes, num_last: int) -> Iterator[bytes]:
    for place in range(max(0, len(data) - num_last), len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        yield bytes(changed)


def _noise(mode: str) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 65536 if mode == "I;16" else 256, (32, 40, 3), dtype=np.int64)
    return Image.fromarray(values[..., 0].astype(np.uint16) if mode == "I;16" else values.astype(np.uint8))


@pytest.mark.parametrize(
    ("mode", "read"),
    [
        ("RGB", lambda path: read_png(path, (40, 32))),
        ("I;16", lambda path: read_depth_png(path, (40, 32))),
        ("RGB", lambda path: load_photo(path).image),
    ],
    ids=["rgb", "depth", "photo"],
)
def test_a_flip_near_the_end_of_a_png_never_changes_a_pixel(mode: str, read: Reader, tmp_path: Path) -> None:
    buffer, path, num_refused = io.BytesIO(), tmp_path / "a.png", 0
    _noise(mode).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    right = np.asarray(read(path))
    for data in _flips(buffer.getvalue(), 400):
        path.write_bytes(data)
        try:
            assert np.array_equal(np.asarray(read(path)), right)
        except InputError:
            num_refused += 1
    assert num_refused > 350


def test_libtiff_says_nothing_by_itself(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    buffer = io.BytesIO()
    _noise("RGB").resize((64, 48)).save(buffer, "TIFF", compression="tiff_lzw")
    data = bytearray(buffer.getvalue())
    data[200:2000] = b"\xff" * 1800
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(BadFileError, match="damaged"):
        load_photo(tmp_path / "a.tif")
    assert capfd.readouterr() == ("", "")


def test_a_photo_of_five_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(5 << 30)  # sparse
    tracemalloc.start()
    try:
        with pytest.raises(BadFileError, match="5,368,709,120 bytes; at most 500,000,000"):
            load_photo(tmp_path / "a.jpg")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
