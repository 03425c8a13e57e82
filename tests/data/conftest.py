"""A tiny room of the released layout: a floor, a back wall and a box, on a grid small enough for a test."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from panoptic3d.data.front3d_writer import write_front3d_sample, write_frustum_mask
from panoptic3d.data.truth import truth_from_volumes
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import FAR_VOX, Sample
from panoptic3d.structures.taxonomy import FLOOR, SOFA, WALL

GRID = VoxelGrid(shape=(32, 28, 36), voxel_size_m=0.1, camera_index=(15.5, 14.25, 2.75))
CAMERA = Camera(50.0, 50.0, 31.5, 23.5, width=64, height=48)
NO_FLOOR_J, WALL_K = 22.3, 30.6


def make_sample(seed: int = 0, frame: str = "0000") -> Sample:
    generator = np.random.default_rng(seed)
    i, j, k = np.meshgrid(*(np.arange(size, dtype=np.float64) for size in GRID.shape), indexing="ij")
    center = generator.uniform((10, 16, 14), (20, 18, 24))
    box = np.stack([np.abs(axis - c) - 3.2 for axis, c in zip((i, j, k), center, strict=True)])
    outside, inside = np.linalg.norm(np.maximum(box, 0), axis=0), np.abs(np.minimum(box.max(0), 0))
    parts = np.stack([np.abs(j - NO_FLOOR_J), np.abs(k - WALL_K), outside + inside])
    distance, nearest = parts.min(0), parts.argmin(0)
    distance = np.where(distance < 8, distance, FAR_VOX).astype(np.float32)
    mask = (np.abs(i - 15.5) <= k * 0.6 + 1) & (np.abs(j - 14.25) <= k * 0.5 + 1) & (k >= 4)
    distance[~mask] = FAR_VOX
    is_labelled = distance < 1
    semantic = np.where(is_labelled, np.array([FLOOR, WALL, SOFA])[nearest], 0)
    weight = np.where(distance < 3, 5, 1) * np.where(mask & (k > center[2]), 2, 1)
    semantic_2d = torch.from_numpy(
        generator.choice([WALL, FLOOR, SOFA], (CAMERA.height, CAMERA.width)).astype(np.uint8)
    )
    pose = np.eye(4)
    pose[:3, 3] = generator.normal(size=3)
    rows = np.arange(CAMERA.height, dtype=np.float32)[:, None]
    depth_m = np.float32(1 + seed / 10) + rows / 50 + np.arange(CAMERA.width, dtype=np.float32) / 100
    return Sample(
        scene="room",
        frame=frame,
        image=torch.from_numpy(generator.integers(0, 256, (3, CAMERA.height, CAMERA.width), dtype=np.uint8)),
        camera=CAMERA,
        depth_m=torch.from_numpy(depth_m),
        semantic_2d=semantic_2d,
        instance_2d=semantic_2d.to(torch.int32) * 7,
        truth=truth_from_volumes(GRID, distance, semantic, np.where(semantic == SOFA, 28, 0), weight, mask),
        world_from_camera=torch.from_numpy(pose),
    )


@pytest.fixture(name="make_sample", scope="session")
def make_sample_fixture() -> Callable[..., Sample]:
    return make_sample


@pytest.fixture
def small_sample() -> Sample:
    return make_sample()


@pytest.fixture(scope="session")
def pristine_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pristine")
    for seed in range(5):
        sample = make_sample(seed, f"{seed:04d}")
        write_front3d_sample(root, sample)
    assert sample.truth is not None
    write_frustum_mask(root, sample.truth.frustum_mask)
    return root


@pytest.fixture
def small_root(pristine_root: Path, tmp_path: Path) -> Path:
    """A data root in the released layout with the frames 0000 to 0004 of one scene, to do with as a test likes."""
    return Path(shutil.copytree(pristine_root, tmp_path / "front3d"))


@pytest.fixture
def assert_equal_samples() -> Callable[[Sample, Sample], None]:
    return _assert_equal


def _assert_equal(actual: object, expected: object) -> None:
    """Equal to the bit, tensors and all."""
    import dataclasses
    from collections.abc import Mapping

    if isinstance(expected, torch.Tensor):
        assert isinstance(actual, torch.Tensor)
        assert actual.dtype == expected.dtype
        assert torch.equal(actual, expected)
    elif dataclasses.is_dataclass(expected):
        for field in dataclasses.fields(expected):
            _assert_equal(getattr(actual, field.name), getattr(expected, field.name))
    elif isinstance(expected, Mapping):
        assert isinstance(actual, Mapping)
        assert actual.keys() == expected.keys()
        for key, value in expected.items():
            _assert_equal(actual[key], value)
    else:
        assert actual == expected
