"""Targets from the sparse truth are those that pooling and resampling the dense volumes give."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from panoptic3d.data.front3d import read_front3d_sample
from panoptic3d.data.targets import (
    dense_weight,
    geometry_target,
    instances_2d,
    level_targets,
    lookup,
    pooled_mask,
    rename,
    weight_at,
)
from panoptic3d.structures.sample import Sample, VoxelTruth
from panoptic3d.structures.taxonomy import SOFA


@pytest.fixture(params=[0, 1])
def truth(request: pytest.FixtureRequest, make_sample: Callable[..., Sample]) -> VoxelTruth:
    truth = make_sample(request.param).truth
    assert truth is not None
    return truth


def _pool(volume: Tensor, stride: int) -> Tensor:
    return F.max_pool3d(volume.double()[None, None], 2 * stride, stride, stride // 2)[0, 0]


@pytest.mark.parametrize("stride", [2, 4])
def test_pooled_labels_are_the_largest_of_the_window(truth: VoxelTruth, stride: int) -> None:
    level = level_targets(truth, stride)
    assert torch.equal(level.semantic.double(), _pool(truth.dense_semantic(), stride))
    assert torch.equal(level.instance.double(), _pool(truth.dense_instance(), stride))


@pytest.mark.parametrize("stride", [2, 4])
def test_occupancy_is_the_resampled_field(truth: VoxelTruth, stride: int) -> None:
    field = truth.dense_distance_vox().abs().clamp(max=12)
    resized = F.interpolate(
        field[None, None], scale_factor=1 / stride, mode="trilinear", align_corners=True, recompute_scale_factor=False
    )[0, 0]
    assert torch.equal(level_targets(truth, stride).occupancy, resized < {2: 6, 4: 8}[stride])


def test_the_finest_level_is_what_is_stored(truth: VoxelTruth) -> None:
    level, field = level_targets(truth, 1), truth.dense_distance_vox()
    assert torch.equal(level.occupancy, field < 3)
    assert torch.equal(geometry_target(truth), field.clamp(max=3))
    assert torch.equal(level.semantic, truth.dense_semantic())
    assert torch.equal(level.weight, truth.dense_weight().float())


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_weights_of_some_cells_are_those_of_the_volume(truth: VoxelTruth, stride: int) -> None:
    cells = torch.cartesian_prod(*(torch.arange(length // stride) for length in truth.grid.shape))
    torch.testing.assert_close(weight_at(truth, cells, stride), dense_weight(truth, stride).flatten())
    assert weight_at(truth, cells[:0], stride).shape == (0,)


def test_masks_of_segments_pool_by_themselves(truth: VoxelTruth) -> None:
    is_sofa = truth.semantic == SOFA
    for stride in (2, 4):
        assert torch.equal(pooled_mask(truth, is_sofa, stride), _pool(truth.dense_semantic() == SOFA, stride) > 0)
    assert torch.equal(pooled_mask(truth, is_sofa, 1), truth.dense_semantic() == SOFA)


def test_lookup_finds_the_listed_and_only_them(truth: VoxelTruth) -> None:
    assert torch.equal(lookup(truth, truth.coords), torch.arange(len(truth.linear_index)))
    everywhere = torch.cartesian_prod(*(torch.arange(length) for length in truth.grid.shape))
    position = lookup(truth, everywhere)
    assert torch.equal(position.view(truth.grid.shape) >= 0, truth.dense_distance_vox() < 12)


def test_an_empty_truth_has_empty_targets(truth: VoxelTruth) -> None:
    empty = replace(
        truth,
        **{
            name: getattr(truth, name)[:0]
            for name in ("linear_index", "distance_vox", "semantic", "instance", "weight")
        },
    )
    level = level_targets(empty, 2)
    assert not level.semantic.any()
    assert bool((level.weight == 1).all())
    assert bool((weight_at(empty, torch.zeros((3, 3), dtype=torch.int64), 2) == 1).all())
    assert lookup(empty, torch.zeros((3, 3), dtype=torch.int64)).tolist() == [-1, -1, -1]


def test_instances_are_renamed_and_the_rest_becomes_zero() -> None:
    ids = torch.tensor([0, 28, 7, 28, 99], dtype=torch.int32)
    assert rename(ids, {28: 3, 99: 1}).tolist() == [0, 3, 0, 3, 1]
    assert rename(ids, {}).tolist() == [0] * 5


def test_two_d_instances(small_sample: Sample) -> None:
    semantic, instance = torch.zeros(48, 64, dtype=torch.uint8), torch.zeros(48, 64, dtype=torch.int32)
    semantic[:, :], instance[:, :] = 10, 45  # a wall has an id and is no thing
    semantic[5:25, 10:30], instance[5:25, 10:30] = 4, 9
    semantic[5:7, 10:30] = 10  # some of its pixels carry another class
    semantic[30:40, 10:20], instance[30:40, 10:20] = 3, 2  # 100 pixels
    semantic[30:45, 30:60], instance[30:45, 30:60] = 5, 77
    sample = replace(small_sample, semantic_2d=semantic, instance_2d=instance)
    found = instances_2d(sample)
    assert (found.ids, found.classes) == ((9, 77), (4, 5))
    assert found.boxes.tolist() == [[10, 5, 29, 24], [30, 30, 59, 44]]
    assert found.masks.sum((1, 2)).tolist() == [400, 450]
    assert instances_2d(sample, min_pixels=0).ids == (2, 9, 77)
    assert instances_2d(sample, min_pixels=0, max_count=1).ids == (2,)
    none = instances_2d(sample, min_pixels=5000)
    assert none.masks.shape == (0, 48, 64)
    assert none.boxes.shape == (0, 4)


def test_numbers_are_distinct_and_repeatable(small_sample: Sample) -> None:
    found = replace(instances_2d(small_sample), ids=tuple(range(100, 115)))
    assert found.numbers() == {instance: instance - 99 for instance in range(100, 115)}
    drawn = found.numbers(torch.Generator().manual_seed(1))
    assert sorted(drawn.values()) == list(range(1, 16))
    assert drawn == found.numbers(torch.Generator().manual_seed(1)) != found.numbers()


@pytest.mark.real
def test_targets_of_sample_0007_are_those_of_the_reference(real_root: Path) -> None:
    sample = read_front3d_sample(real_root / "front3d", "official-sample", "0007")
    truth = sample.truth
    assert truth is not None
    found = instances_2d(sample)
    assert (found.ids, found.classes) == ((18, 23, 24), (9, 4, 5))
    assert found.masks.sum((1, 2)).tolist() == [7540, 12077, 8508]
    half, quarter = level_targets(truth, 2, found.numbers()), level_targets(truth, 4, found.numbers())
    assert _histogram(half.semantic) == {4: 4383, 5: 993, 9: 4076, 10: 6793, 11: 3227}
    assert _histogram(quarter.semantic) == {4: 681, 5: 307, 9: 476, 10: 1731, 11: 612}
    assert (int(half.occupancy.sum()), int(quarter.occupancy.sum())) == (32_510, 4_683)
    assert float(half.weight.double().sum()) == pytest.approx(2_532_336.09, abs=0.1)
    assert float(quarter.weight.double().sum()) == pytest.approx(314_958.31, abs=0.1)
    assert set(_histogram(half.instance)) == {1, 2, 3}
    members = [
        truth.instance == 18,
        truth.instance == 23,
        truth.instance == 24,
        truth.semantic == 10,
        truth.semantic == 11,
    ]
    assert [int(pooled_mask(truth, member, 2).sum()) for member in members] == [5694, 5007, 893, 7145, 3227]
    assert [int(pooled_mask(truth, member, 4).sum()) for member in members] == [1203, 1009, 287, 1875, 612]


def _histogram(labels: Tensor) -> dict[int, int]:
    values, counts = labels[labels > 0].unique(return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))
