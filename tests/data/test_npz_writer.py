"""What numpy and zipfile read of it is what was given, whatever the runs of equal values look like."""

import io
import zipfile

import numpy as np
import pytest

from panoptic3d.data import npz_writer
from panoptic3d.data.npz_writer import npz_bytes

BLOCK = npz_writer._BLOCK


def _read(data: bytes) -> dict[str, np.ndarray]:
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return dict(archive)


def _volume(*runs: tuple[int, int]) -> np.ndarray:
    """Of each run the value, or noise for -1, and its length in eighths of a block."""
    noise = np.random.default_rng(0)
    parts = [
        noise.integers(0, 200, n * BLOCK // 8) if value < 0 else np.full(n * BLOCK // 8, value) for value, n in runs
    ]
    return np.concatenate(parts).astype(np.uint8)


@pytest.mark.parametrize(
    "array",
    [
        _volume((0, 8 * 200), (-1, 3), (7, 8 * 130), (-1, 20), (0, 8)),
        _volume((1, 8 * 64), (2, 8 * 65), (2, 8), (3, 5)),
        _volume((-1, 8 * 3)),
        _volume((-1, 3), (0, 8 * 40 + 5)),
        np.zeros((64, 64, 64), np.float16),
        np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
        np.arange(60_000, dtype=np.int32).reshape(300, 200)[::2, ::3],
        np.array(0.03),
        np.zeros((0, 3)),
        np.array(["a", "three words here"]),
        np.array([True, False]),
        np.arange(5, dtype=">u2"),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_arrays_come_back_as_they_were(array: np.ndarray) -> None:
    found = _read(npz_bytes({"first": array, "zweites-\u00e9": np.eye(3)}))
    assert list(found) == ["first", "zweites-\u00e9"]
    assert found["first"].dtype == array.dtype
    np.testing.assert_array_equal(found["first"], array)
    np.testing.assert_array_equal(found["zweites-\u00e9"], np.eye(3))


def test_equal_stretches_take_no_room_and_the_same_arrays_are_the_same_bytes() -> None:
    volume = np.full((256, 256, 256), 3, np.float16)
    volume[100:102] = np.random.default_rng(0).random((2, 256, 256))
    data = npz_bytes({"field": volume})
    compressed = io.BytesIO()
    np.savez_compressed(compressed, field=volume)
    assert len(data) < 1.1 * len(compressed.getvalue())
    assert npz_bytes({"field": volume}) == data
    assert [entry.date_time for entry in zipfile.ZipFile(io.BytesIO(data)).infolist()] == [(1980, 1, 1, 0, 0, 0)]


def test_what_such_a_file_cannot_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="`words` is an array of objects"):
        npz_bytes({"words": np.array([{}])})
    monkeypatch.setattr(npz_writer, "_MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="`field` comes to 2128"):
        npz_bytes({"field": np.zeros(1000, np.float16)})
    noise = np.random.default_rng(0).integers(0, 255, 600).astype(np.uint8)
    with pytest.raises(ValueError, match="`second` comes to"):
        npz_bytes({"first": noise, "second": noise})
