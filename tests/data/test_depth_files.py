"""Depth maps in every file that people have them in, and what is refused."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from panoptic3d.data.depth_files import depth_array, parse_unit, read_depth_file
from panoptic3d.data.front3d_writer import exr_bytes
from panoptic3d.errors import InputError

DEPTH_M = np.linspace(0.5, 4.5, 48 * 64, dtype=np.float32).reshape(48, 64)
DEPTH_M[5:9, 7:20] = 0


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def picture(kind: str, values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


MILLIMETRES = np.round(DEPTH_M * 1000).astype(np.uint16)
GOOD: dict[str, Callable[[], bytes]] = {
    "a.exr": lambda: exr_bytes(DEPTH_M),
    "a.npy": lambda: npy(DEPTH_M),
    "half.npy": lambda: npy(DEPTH_M.astype(np.float16)),
    "millimetres.npy": lambda: npy(MILLIMETRES),
    "channel.npy": lambda: npy(DEPTH_M[..., None]),
    "batch.npy": lambda: npy(DEPTH_M[None]),
    "a.npz": lambda: npz(depth=DEPTH_M, mask=DEPTH_M > 0),
    "only.npz": lambda: npz(anything=DEPTH_M),
    "a.png": lambda: picture("PNG", MILLIMETRES),
    "a.tif": lambda: picture("TIFF", MILLIMETRES),
    "float.tif": lambda: picture("TIFF", DEPTH_M),
    "wrong ending.jpg": lambda: npy(DEPTH_M),
}
BAD: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "8 bits": ("a.png", lambda: picture("PNG", MILLIMETRES.astype(np.uint8)), "8 bits"),
    "8 bits in memory": ("a.npy", lambda: npy(MILLIMETRES.astype(np.uint8)), "uint8"),
    "colours": ("a.png", lambda: picture("PNG", np.zeros((48, 64, 3), np.uint8)), "colours"),
    "three channels": ("a.npy", lambda: npy(np.ones((48, 64, 3), np.float32)), "48x64x3"),
    "all holes": ("a.exr", lambda: exr_bytes(np.zeros_like(DEPTH_M)), "nothing but holes"),
    "all NaN": ("a.npy", lambda: npy(np.full_like(DEPTH_M, np.nan)), "nothing but holes"),
    "infinite": ("a.npy", lambda: npy(np.where(DEPTH_M > 4, np.inf, DEPTH_M)), "infinite"),
    "pickled": ("a.npy", lambda: npy(np.array([[{}] * 9] * 9, dtype=object)), "never|pickled"),
    "pickled in a zip": ("a.npz", lambda: npz(depth=np.array([[{}] * 9] * 9, dtype=object)), "pickled"),
    "cut exr": ("a.exr", lambda: exr_bytes(DEPTH_M)[:700], "truncated|early end"),
    "cut png": ("a.png", lambda: picture("PNG", MILLIMETRES)[:300], "PNG|checksum|found"),
    "cut npy": ("a.npy", lambda: npy(DEPTH_M)[:900], "truncated"),
    "cut npz": ("a.npz", lambda: npz(depth=DEPTH_M)[:900], "truncated"),
    "empty": ("a.exr", lambda: b"", "0 bytes"),
    "text": ("a.exr", lambda: b"depth please", "none of the files"),
    "no depth in a zip": ("a.npz", lambda: npz(a=DEPTH_M, b=DEPTH_M), "no array called depth"),
    "tiny": ("a.npy", lambda: npy(DEPTH_M[:2, :2]), "2x2"),
    "complex": ("a.npy", lambda: npy(DEPTH_M.astype(np.complex64)), "complex"),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_kind_gives_the_same_metres(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(GOOD[name]())
    read = read_depth_file(path)
    assert read.dtype == np.float32
    assert np.array_equal(np.isnan(read), DEPTH_M == 0)
    np.testing.assert_allclose(read[DEPTH_M > 0], DEPTH_M[DEPTH_M > 0], rtol=5e-4 if "half" in name else 0, atol=6e-4)


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_depth_gets_a_sentence(name: str, tmp_path: Path) -> None:
    file, make, said = BAD[name]
    (tmp_path / file).write_bytes(make())
    with pytest.raises(InputError, match=said) as caught:
        read_depth_file(tmp_path / file)
    assert "leave its sample out" not in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_units(tmp_path: Path) -> None:
    (tmp_path / "tum.png").write_bytes(picture("PNG", np.round(DEPTH_M * 5000).astype(np.uint16)))
    read = read_depth_file(tmp_path / "tum.png", parse_unit("1/5000"))
    np.testing.assert_allclose(read[DEPTH_M > 0], DEPTH_M[DEPTH_M > 0], atol=1.1e-4)
    assert [parse_unit(word) for word in ("mm", "m", "0.0002")] == [0.001, 1.0, 0.0002]
    for word in ("", "x", "0", "-1", "1/0", "nan", "1e9", "mm/2"):
        with pytest.raises(InputError, match="--depth-unit"):
            parse_unit(word)


def test_arrays_in_memory_follow_the_same_rules() -> None:
    assert np.array_equal(depth_array(DEPTH_M.astype(np.float64), "x"), depth_array(DEPTH_M, "x"), equal_nan=True)
    with pytest.raises(InputError, match="x is bool"):
        depth_array(DEPTH_M > 0, "x")
