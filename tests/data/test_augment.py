"""Augmentation keeps a sample true: where pixels say a surface is, the volume says it, too."""

from dataclasses import replace

import pytest
import torch

from panoptic3d.data.augment import AugmentConfig, augmented, cropped, flipped
from panoptic3d.data.dataset import open_dataset
from panoptic3d.data.targets import lookup
from panoptic3d.geometry.pinhole import unproject_depth_map
from panoptic3d.geometry.voxels import nearest_voxels
from panoptic3d.structures.sample import Sample


@pytest.fixture(scope="module")
def sample(box_root) -> Sample:
    return open_dataset(box_root)[0]


def agreement(sample: Sample) -> float:
    """The share of pixels whose voxel carries their class."""
    truth = sample.truth
    assert truth is not None
    has_depth = (sample.depth_m > 0.5) & (sample.depth_m < 5.9)
    points = unproject_depth_map(sample.depth_m, sample.camera.intrinsics.float())[has_depth]
    voxels, _ = nearest_voxels(truth.grid.index_from_camera(points), truth.grid.shape)
    place = lookup(truth, voxels)
    found = torch.where(place >= 0, truth.semantic[place.clamp(min=0)], 0)
    return float((found == sample.semantic_2d[has_depth]).float().mean())


def test_a_sample_agrees_with_its_volume(sample: Sample) -> None:
    assert agreement(sample) > 0.98


def test_a_flipped_sample_agrees_as_well(sample: Sample) -> None:
    assert agreement(flipped(sample)) == pytest.approx(agreement(sample), abs=5e-3)


def test_a_volume_that_is_not_flipped_along_disagrees(sample: Sample) -> None:
    assert agreement(replace(flipped(sample), truth=sample.truth)) < 0.9


def test_a_flipped_camera_stands_as_high_and_leans_to_the_other_side(sample: Sample) -> None:
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.tensor([[0.96, -0.28, 0.0], [0.0, 0.0, 1.0], [-0.28, -0.96, 0.0]], dtype=torch.float64)
    pose[:3, 3] = torch.tensor([1.0, 2.0, 1.4], dtype=torch.float64)
    mirrored = flipped(replace(sample, world_from_camera=pose)).world_from_camera
    assert mirrored is not None
    assert float(torch.linalg.det(mirrored[:3, :3])) == pytest.approx(float(torch.linalg.det(pose[:3, :3])))
    assert mirrored[2, 3] == pose[2, 3]
    down, own = -mirrored[2, :3], -pose[2, :3]
    assert torch.equal(down, own * own.new_tensor([-1.0, 1.0, 1.0]))


def test_flipping_twice_changes_nothing(sample: Sample) -> None:
    twice = flipped(flipped(sample))
    assert twice.camera == sample.camera
    assert twice.world_from_camera is not None
    assert sample.world_from_camera is not None
    assert torch.equal(twice.world_from_camera, sample.world_from_camera)
    assert torch.equal(twice.image, sample.image)
    assert twice.truth is not None
    assert sample.truth is not None
    assert twice.truth.grid == sample.truth.grid
    for name in ("linear_index", "distance_vox", "semantic", "instance", "weight", "frustum_mask"):
        assert torch.equal(getattr(twice.truth, name), getattr(sample.truth, name)), name
    assert twice.truth.weight_start == sample.truth.weight_start


@pytest.mark.parametrize("window", [(0.6, 0.0, 0.0), (0.75, 1.0, 0.3), (1.0, 0.5, 0.5)])
def test_a_cropped_sample_agrees_as_well(sample: Sample, window: tuple[float, float, float]) -> None:
    part = cropped(sample, *window)
    assert part.image.shape == sample.image.shape
    assert agreement(part) > 0.97
    assert part.camera.fx_px == pytest.approx(sample.camera.fx_px / window[0], rel=0.01)


def test_augmentation_is_a_function_of_its_stream(sample: Sample) -> None:
    config = AugmentConfig(crop=0.3)
    first, second, other = (augmented(sample, config, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first.image, second.image)
    assert not torch.equal(first.image, other.image)


def test_switched_off_it_does_nothing(sample: Sample) -> None:
    still = AugmentConfig(flip=0, brightness=0, contrast=0, saturation=0, tint=0, noise=0, crop=0)
    assert torch.equal(augmented(sample, still, torch.Generator().manual_seed(0)).image, sample.image)
