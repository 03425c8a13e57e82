"""Prediction files of strangers: what is right is read exactly, what is wrong is named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from panoptic3d.data.predictions import (
    PredictedVoxels,
    prediction_path,
    read_prediction,
    read_scene,
    write_prediction,
)
from panoptic3d.errors import BadFileError
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.scene import PanopticScene

SHAPE = (5, 6, 8)
GRID = VoxelGrid(SHAPE, 0.1, (2.0, 3.0, 0.0))


def _arrays(seed: int = 0, dtype: str = "float16") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    is_labelled = rng.random(SHAPE) < 0.2
    return {
        "distance_field": rng.choice([-1.0, 0.0, 0.5, 2.984375, 3.0], SHAPE).astype(dtype),
        "semantic": np.where(is_labelled, rng.integers(0, 13, SHAPE), 0).astype(np.uint8),
        "instance": np.where(is_labelled, rng.choice([0, 1, 65_535], SHAPE), 0).astype(np.uint16),
    }


def _write(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    path = folder / "scene.npz"
    np.savez(path, **arrays)
    return path


@given(st.integers(0, 1000), st.sampled_from(["float16", "float32"]))
def test_everything_in_the_file_is_read(tmp_path_factory: pytest.TempPathFactory, seed: int, dtype: str) -> None:
    arrays = _arrays(seed, dtype)
    voxels = read_prediction(_write(tmp_path_factory.mktemp("scene"), arrays), SHAPE)
    fills = {"distance_field": 3.0, "semantic": 0, "instance": 0}
    columns = (voxels.distance_vox, voxels.semantic, voxels.instance)
    for (key, fill), column in zip(fills.items(), columns, strict=True):
        dense = np.full(np.prod(SHAPE), fill)
        dense[voxels.linear_index] = column
        np.testing.assert_array_equal(dense.reshape(SHAPE), arrays[key])
    assert (np.diff(voxels.linear_index) > 0).all()


def test_a_scene_survives_its_file(tmp_path: Path) -> None:
    arrays = _arrays()
    distance = torch.from_numpy(np.abs(arrays["distance_field"]).astype(np.float32))
    instance = torch.from_numpy(arrays["instance"].astype(np.int32))
    scene = PanopticScene(distance, torch.from_numpy(arrays["semantic"]), instance, FRONT3D_CAMERA, GRID)
    write_prediction(tmp_path / "scene.npz", scene, scores=np.array([0.5]))
    back = read_scene(tmp_path / "scene.npz", FRONT3D_CAMERA, GRID)
    for name in ("distance_vox", "semantic", "instance"):
        assert torch.equal(getattr(back, name), getattr(scene, name))


def test_half_floats_keep_every_voxel_in_its_shell(tmp_path: Path) -> None:
    distance = torch.linspace(0, 3, 240).view(SHAPE).contiguous()
    distance[0, 0, 0], distance[0, 0, 1] = 0.99999, 1.0
    labels = torch.ones(SHAPE, dtype=torch.uint8)
    write_prediction(tmp_path / "x.npz", PanopticScene(distance, labels, labels.int(), FRONT3D_CAMERA, GRID))
    back = read_scene(tmp_path / "x.npz", FRONT3D_CAMERA, GRID).distance_vox
    assert torch.equal(back < 1, distance < 1)
    assert torch.allclose(back, distance, atol=0, rtol=2**-10)


@pytest.mark.parametrize("dtype", [">f2", ">f4"])
def test_the_order_of_bytes_changes_nothing(tmp_path: Path, dtype: str) -> None:
    arrays = _arrays()
    right = read_prediction(_write(tmp_path, arrays), SHAPE)
    arrays = {key: array.astype(array.dtype.newbyteorder(">")) for key, array in arrays.items()}
    arrays["distance_field"] = arrays["distance_field"].astype(dtype)
    found = read_prediction(_write(tmp_path, arrays), SHAPE)
    for name in ("linear_index", "distance_vox", "semantic", "instance"):
        assert np.array_equal(getattr(found, name), getattr(right, name)), name


def test_both_places_of_a_prediction_are_known(tmp_path: Path) -> None:
    assert prediction_path(tmp_path, "a", "0001").name == "a_0001.npz"
    (tmp_path / "a_0001").mkdir()
    (tmp_path / "a_0001" / "scene.npz").write_bytes(b"x")
    assert prediction_path(tmp_path, "a", "0001") == tmp_path / "a_0001" / "scene.npz"


def _with(key: str, value: np.ndarray | None):
    def change(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        changed = {**arrays, key: value}
        return {name: array for name, array in changed.items() if array is not None}

    return change


def _set(key: str, value: float, dtype: str | None = None):
    def change(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        array = arrays[key].astype(dtype or arrays[key].dtype)
        array[2, 3, 4] = value
        return {**arrays, key: array}

    return change


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        (_with("semantic", None), "wrong_key", "expected an array `semantic`, found distance_field, instance"),
        (_with("instance", np.zeros((5, 6, 7), np.uint16)), "wrong_shape", "shape 5x6x8, found uint16 of shape 5x6x7"),
        (_with("semantic", np.zeros(SHAPE, np.int64)), "wrong_dtype", "expected uint8"),
        (_with("distance_field", np.zeros(SHAPE)), "wrong_dtype", "float16 or float32 of shape 5x6x8, found float64"),
        (_with("instance", np.empty(SHAPE, object)), "pickled", "pickled Python objects"),
        (_set("distance_field", np.nan), "nan_distance", "expected finite distances in voxels, found nan"),
        (_set("distance_field", -np.inf, "float32"), "infinite_distance", "found -inf"),
        (_set("semantic", 77), "bad_class", "expected classes 0..12, found class 77 at 1 places"),
        (_set("instance", 65_536, "int32"), "wide_instance", "at most 65535, found id 65536"),
        (_set("instance", -1, "int16"), "negative_instance", "found id -1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change, reason: str, words: str) -> None:
    path = _write(tmp_path, change(_arrays()))
    with pytest.raises(BadFileError, match=words) as caught:
        read_prediction(path, SHAPE)
    assert caught.value.reason == reason
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"not an archive", "not_npz")])
def test_a_file_that_is_no_archive_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "scene.npz"
    path.write_bytes(content)
    with pytest.raises(BadFileError) as caught:
        read_prediction(path, SHAPE)
    assert caught.value.reason == reason


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    path = _write(tmp_path, _arrays())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BadFileError) as caught:
        read_prediction(path, SHAPE)
    assert caught.value.reason in ("truncated", "corrupt")


def test_an_id_that_does_not_fit_is_not_written(tmp_path: Path) -> None:
    scene = PanopticScene(
        torch.zeros(SHAPE), torch.ones(SHAPE, dtype=torch.uint8), torch.full(SHAPE, 70_000, dtype=torch.int32),
        FRONT3D_CAMERA, GRID,
    )  # fmt: skip
    with pytest.raises(BadFileError, match="found id 70000"):
        write_prediction(tmp_path / "scene.npz", scene)
    assert not (tmp_path / "scene.npz").exists()


def test_a_scene_in_memory_is_what_its_file_says(tmp_path: Path, small_sample: Sample) -> None:
    assert small_sample.truth is not None
    scene = PanopticScene.from_truth(small_sample.truth, small_sample.camera)
    scene = replace(scene, distance_vox=scene.distance_vox * 0.99994)  # no half float
    write_prediction(tmp_path / "scene.npz", scene)
    from_file = read_prediction(tmp_path / "scene.npz", scene.grid.shape)
    in_memory = PredictedVoxels.from_scene(scene)
    for name in ("linear_index", "distance_vox", "semantic", "instance"):
        np.testing.assert_array_equal(getattr(in_memory, name), getattr(from_file, name))
