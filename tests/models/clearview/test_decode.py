"""What the decoder makes of a perfect prediction is the truth."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from panoptic3d.data.dataset import open_dataset
from panoptic3d.metrics import PanopticReconstructionQuality
from panoptic3d.models.clearview.config import DecodeConfig
from panoptic3d.models.clearview.decode import SeedDecode, _softmax
from panoptic3d.sparse.voxels import voxel_set
from panoptic3d.structures.prediction import Levels, Prediction, SeededLevel, ThingSeeds
from panoptic3d.structures.sample import Sample


@pytest.fixture(scope="module")
def sample(box_root) -> Sample:
    return open_dataset(box_root)[0]


def perfect(sample: Sample) -> Prediction:
    truth = sample.truth
    assert truth is not None
    near = truth.distance_vox < 3
    coords = torch.cat((torch.zeros(int(near.sum()), 1).int(), truth.coords[near]), dim=1)
    voxels = voxel_set(coords, 1, truth.grid.shape)
    is_thing = torch.tensor([sample.taxonomy.is_thing(c) for c in range(13)])[truth.semantic[near].long()]
    ids = truth.instance[near].where(is_thing, torch.tensor(0)).long()
    things = ids.unique()[1:]
    column = torch.searchsorted(things, ids).where(ids == 0, torch.searchsorted(things, ids) + 1).where(ids > 0, 0)
    classes = torch.stack([truth.semantic[near][ids == thing].mode().values for thing in things]).long()
    level = SeededLevel(
        candidates=voxels,
        occupancy_logit=torch.ones(len(voxels)),
        voxels=voxels,
        is_kept=torch.ones(len(voxels), dtype=torch.bool),
        semantic_logits=20 * F.one_hot(truth.semantic[near].long(), 13).float(),
        instance_logits=20 * F.one_hot(column, len(things) + 1).float(),
        distance_vox=truth.distance_vox[near],
        seeds=ThingSeeds(
            member=torch.zeros(len(things), dtype=torch.int64),
            centre_vox=torch.zeros(len(things), 3),
            reach_vox=torch.ones(len(things)),
            embedding=torch.zeros(len(things), 2),
            class_logits=F.one_hot(classes, 13).float(),
            scores=torch.full((len(things),), 0.5),
        ),
    )
    return Prediction((sample.camera,), (truth.grid,), sample.depth_m[None], (), Levels((), level))


def test_a_perfect_prediction_becomes_the_truth(sample: Sample) -> None:
    (scene,) = SeedDecode(DecodeConfig(), 3.0)(perfect(sample))
    metric = PanopticReconstructionQuality("strict")
    metric.update([scene], [sample])
    assert float(metric.compute()["prq"]) == pytest.approx(1.0, abs=1e-3)


def test_a_thing_without_a_shell_is_given_back(sample: Sample) -> None:
    (scene,) = SeedDecode(DecodeConfig(min_shell_voxels=10**6), 3.0)(perfect(sample))
    assert not any(segment.is_thing for segment in scene.segments)
    (whole,) = SeedDecode(DecodeConfig(), 3.0)(perfect(sample))
    assert torch.equal(scene.distance_vox, whole.distance_vox)


def test_a_prediction_without_things_is_a_scene_of_stuff(sample: Sample) -> None:
    full = perfect(sample)
    level = full.levels.finest
    none = replace(
        level, seeds=level.seeds.of(torch.zeros(0, dtype=torch.int64)), instance_logits=level.instance_logits[:, :1]
    )
    (scene,) = SeedDecode(DecodeConfig(), 3.0)(replace(full, levels=Levels((), none)))
    assert {segment.name for segment in scene.segments} <= {"wall", "floor", "ceiling"}


@pytest.mark.parametrize("shape", [(5, 1), (300, 13), (7, 16), (7, 17), (0, 13)])
def test_rows_filled_up_give_the_same_shares(shape: tuple[int, int]) -> None:
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 5
    torch.testing.assert_close(_softmax(logits), logits.softmax(dim=1))
