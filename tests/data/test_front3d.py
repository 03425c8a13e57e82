"""What is written in the released layout is read back to the bit, and every kind of broken file is named."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from panoptic3d.data.front3d import Front3dFiles, list_front3d_keys, read_front3d_sample
from panoptic3d.data.reasons import REASONS
from panoptic3d.errors import BadFileError
from panoptic3d.structures.sample import Sample


def _read(root: Path, like: Sample, **options: bool) -> Sample:
    assert like.truth is not None
    return read_front3d_sample(root, "room", "0000", camera=like.camera, grid=like.truth.grid, **options)


def test_write_then_read_is_the_identity(
    small_root: Path, small_sample: Sample, assert_equal_samples: Callable[[Sample, Sample], None]
) -> None:
    assert_equal_samples(_read(small_root, small_sample), small_sample)


def test_volumes_are_stored_with_x_and_y_reversed(small_root: Path, small_sample: Sample) -> None:
    files = Front3dFiles(small_root, "room", "0000")
    assert small_sample.truth is not None
    aligned = small_sample.truth.dense_distance_vox().numpy()
    np.testing.assert_array_equal(np.load(files.geometry)["data"][::-1, ::-1], aligned)
    np.testing.assert_array_equal(
        np.load(files.frustum_mask)["mask"][::-1, ::-1], small_sample.truth.frustum_mask.numpy()
    )


def test_two_d_files_suffice_without_voxels(small_root: Path, small_sample: Sample) -> None:
    for name in ("geometry", "segmentation", "weighting"):
        getattr(Front3dFiles(small_root, "room", "0000"), name).unlink()
    assert _read(small_root, small_sample, has_voxels=False).truth is None


def test_weighting_is_found_under_the_name_of_the_readme(small_root: Path, small_sample: Sample) -> None:
    path = Front3dFiles(small_root, "room", "0000").weighting
    path.rename(path.with_name("weighting_0000.mapped.npz"))
    assert _read(small_root, small_sample).truth is not None


def test_keys_are_found_on_the_disk(small_root: Path) -> None:
    assert list_front3d_keys(small_root) == [f"room/{frame:04d}" for frame in range(5)]


def _change(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with np.load(path) as archive:
        arrays = dict(archive)
    key = next(iter(arrays))
    arrays[key] = change(arrays[key])
    np.savez_compressed(path, **arrays)


def _set_first(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array.reshape(-1)[0] = value
        return array

    return change


def _set_last(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: _set_first(value)(array.reshape(-1)[::-1]).reshape(-1)[::-1].reshape(array.shape)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def _pickle(path: Path) -> None:
    np.savez(path, data=np.array([{"a": 1}], dtype=object))


def _rename_key(path: Path) -> None:
    with np.load(path) as archive:
        np.savez_compressed(path, arr_0=archive[archive.files[0]])


def _write_exr(path: Path, value: float, channel: str = "Z", size: tuple[int, int] = (48, 64)) -> None:
    import OpenEXR

    depth = np.full(size, 2.0, np.float32)
    depth[3, 4] = value
    OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, {channel: depth}).write(
        str(path)
    )


VOLUMES = ("segmap", "geometry", "segmentation", "weighting")
ALL = ("image", "depth", *VOLUMES, "frustum_mask")
FAULTS: list[tuple[str, str, Callable[[Path], object]]] = [
    *((name, "missing", Path.unlink) for name in ALL),
    *((name, "empty", lambda path: path.write_bytes(b"")) for name in ALL),
    *((name, "truncated", _cut) for name in ALL),
    *((name, "truncated", lambda path: path.write_bytes(path.read_bytes()[:-1])) for name in ("image", "depth")),
    *((name, "pickled", _pickle) for name in VOLUMES),
    *((name, "wrong_key", _rename_key) for name in (*VOLUMES, "campose", "frustum_mask")),
    *((name, "wrong_shape", lambda path: _change(path, lambda a: a[..., :-1])) for name in (*VOLUMES, "frustum_mask")),
    *((name, "wrong_dtype", lambda path: _change(path, lambda a: a.astype(np.float16))) for name in VOLUMES),
    *((name, "not_npz", lambda path: path.write_text("hello, I am no archive")) for name in VOLUMES),
    *((name, "corrupt", _flip_byte) for name in ("depth", "geometry", "segmentation", "weighting")),
    ("image", "not_png", lambda path: path.write_text("hello, I am no picture")),
    ("image", "wrong_mode", lambda path: Image.new("L", (64, 48)).save(path)),
    ("image", "wrong_shape", lambda path: Image.new("RGB", (64, 47)).save(path)),
    ("depth", "not_exr", lambda path: path.write_text("hello, I am no picture")),
    ("depth", "nan_depth", lambda path: _write_exr(path, np.nan)),
    ("depth", "infinite_depth", lambda path: _write_exr(path, np.inf)),
    ("depth", "negative_depth", lambda path: _write_exr(path, -1)),
    ("depth", "wrong_key", lambda path: _write_exr(path, 1, channel="Y")),
    ("depth", "wrong_shape", lambda path: _write_exr(path, 1, size=(47, 64))),
    ("segmap", "bad_class", lambda path: _change(path, _set_first(77))),
    ("segmap", "huge_instance", lambda path: _change(path, _set_last(2**31))),
    ("geometry", "nan_distance", lambda path: _change(path, _set_first(np.nan))),
    ("geometry", "infinite_distance", lambda path: _change(path, _set_first(np.inf))),
    ("geometry", "negative_distance", lambda path: _change(path, _set_first(-0.5))),
    ("segmentation", "bad_class", lambda path: _change(path, _set_first(77))),
    ("segmentation", "negative_instance", lambda path: _change(path, _set_last(-3))),
    ("weighting", "bad_weight", lambda path: _change(path, _set_first(-1))),
    ("weighting", "bad_weight", lambda path: _change(path, _set_first(256))),
    ("campose", "bad_pose", lambda path: _change(path, lambda pose: pose * 2)),
]


@pytest.mark.filterwarnings("ignore:Exception raised reading pixel data")
@pytest.mark.parametrize(("name", "reason", "plant"), FAULTS, ids=[f"{name}-{reason}" for name, reason, _ in FAULTS])
def test_every_fault_is_named(
    small_root: Path, small_sample: Sample, name: str, reason: str, plant: Callable[[Path], object]
) -> None:
    path = getattr(Front3dFiles(small_root, "room", "0000"), name)
    plant(path)
    with pytest.raises(BadFileError) as caught:
        _read(small_root, small_sample)
    assert (caught.value.path, caught.value.reason) == (str(path), reason)
    assert reason in REASONS
    assert str(path) in str(caught.value)


def test_distances_beyond_twelve_voxels_count_as_far(small_root: Path, small_sample: Sample) -> None:
    path = Front3dFiles(small_root, "room", "0000").geometry
    with np.load(path) as archive:
        stored = archive["data"]
    np.savez(path, data=np.where(stored == 12, 40.0, stored))
    truth = _read(small_root, small_sample).truth
    assert truth is not None
    assert small_sample.truth is not None
    assert torch.equal(truth.linear_index, small_sample.truth.linear_index)


def test_uncompressed_archives_are_read_too(small_root: Path, small_sample: Sample) -> None:
    path = Front3dFiles(small_root, "room", "0000").segmentation
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays)
    assert zipfile.ZipFile(path).infolist()[0].compress_type == zipfile.ZIP_STORED
    assert _read(small_root, small_sample).truth is not None
