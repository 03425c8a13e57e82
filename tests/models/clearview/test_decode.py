"""What the decoder makes of a perfect prediction is the truth."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from panoptic3d.data.dataset import open_dataset
from panoptic3d.metrics import PanopticReconstructionQuality
from panoptic3d.models.buol.config import BuolConfig
from panoptic3d.models.centre_grouping.config import CentreGroupingConfig
from panoptic3d.models.centre_grouping.decoder import CentreGrouping
from panoptic3d.models.clearview.config import ClearviewConfig, DecodeConfig
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


def voting(sample: Sample) -> Prediction:
    """The same with seeds at the true centres, for which the voxels vote."""
    prediction, truth = perfect(sample), sample.truth
    assert truth is not None
    level = prediction.levels.finest
    column, coords = level.instance_logits.argmax(dim=1), level.voxels.coords[:, 1:].float()
    sums = torch.zeros(len(level.seeds) + 1, 3).index_add(0, column, coords)
    middle = sums / torch.bincount(column, minlength=len(sums))[:, None]
    level = replace(level, seeds=replace(level.seeds, centre_vox=middle[1:]), voted_vox=middle[column])
    return replace(prediction, levels=Levels((), level))


def test_voxels_with_votes_are_grouped_by_centres_as_the_image_shows_them(sample: Sample) -> None:
    """BUOL's decoder behind this net. Without seeds there are no things."""
    decode = CentreGrouping(CentreGroupingConfig(centres="seeds", fill="nearest"))
    (scene,) = decode(voting(sample))
    metric = PanopticReconstructionQuality("strict")
    metric.update([scene], [sample])
    assert float(metric.compute()["prq"]) > 0.98
    level = voting(sample).levels.finest
    nothing = replace(level, seeds=level.seeds.of(torch.zeros(0, dtype=torch.int64)))
    (scene,) = decode(replace(voting(sample), levels=Levels((), nothing)))
    assert int(scene.instance.max()) == 0
    assert int(scene.semantic.max()) > 0


def test_seeds_that_nobody_finds_are_refused() -> None:
    config = {"name": "centres", "centres": "seeds"}
    assert ClearviewConfig.model_validate({"decode": config}).decode.name == "centres"
    with pytest.raises(ValueError, match="voxel_net 'sparse-deeplab' finds none"):
        BuolConfig.model_validate({"decode": config})


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


def test_classes_speak_where_membership_is_undecided(sample: Sample) -> None:
    """Voxels that like everything alike stay with "no thing", or go to seeds of their class."""
    full = perfect(sample)
    level = full.levels.finest
    opinions = replace(level.seeds, class_logits=20 * level.seeds.class_logits)
    said = replace(full, levels=Levels((), replace(level, instance_logits=0 * level.instance_logits, seeds=opinions)))
    (deaf,) = SeedDecode(DecodeConfig(), 3.0)(said)
    assert int(deaf.instance.max()) == 0
    (scene,) = SeedDecode(DecodeConfig(class_weight=0.5), 3.0)(said)
    truth = sample.truth
    assert truth is not None
    classes = {s.class_id for s in scene.segments if s.is_thing}
    near = truth.semantic[truth.distance_vox < 3].long()
    assert classes == {int(c) for c in near.unique() if sample.taxonomy.is_thing(int(c))}


def test_agreement_of_perfect_classes_changes_nothing(sample: Sample) -> None:
    (plain,) = SeedDecode(DecodeConfig(), 3.0)(perfect(sample))
    (heard,) = SeedDecode(DecodeConfig(class_weight=0.5), 3.0)(perfect(sample))
    assert torch.equal(plain.instance, heard.instance)
    assert torch.equal(plain.semantic, heard.semantic)


def test_confidence_is_a_chance_that_grows_with_occupancy_and_nearness(sample: Sample) -> None:
    decode, prediction = SeedDecode(DecodeConfig(), 3.0), perfect(sample)
    (scene,) = decode(prediction)
    confidence, near = scene.confidence, scene.distance_vox < 3
    assert confidence is not None
    assert ((confidence > 0) == near).all()
    assert float(confidence.max()) < 1
    level = prediction.levels.finest
    doubted = replace(prediction, levels=Levels((), replace(level, occupancy_logit=-level.occupancy_logit)))
    less = decode(doubted)[0].confidence
    assert less is not None
    assert (less[near] < confidence[near]).all()
    depth = scene.grid.camera_from_index(near.nonzero().double())[:, 2]
    order = confidence[near].float()[depth.argsort()]
    assert (order.diff() <= 1e-3).all()  # all else is equal


def test_confidence_falls_where_the_depth_is_unsure(sample: Sample) -> None:
    decode, prediction = SeedDecode(DecodeConfig(), 3.0), perfect(sample)
    height, width = sample.depth_m.shape
    spread = torch.full((1, height, width), -4.0)
    spread[..., width // 2 :] = -1.0
    (scene,) = decode(replace(prediction, log_spread=spread))
    assert scene.confidence is not None
    near = scene.distance_vox < 3
    points, found = scene.grid.camera_from_index(near.nonzero().double()), scene.confidence[near].float()
    column = points[:, 0] / points[:, 2] * sample.camera.fx_px + sample.camera.cx_px
    is_left, is_far = column < width // 2 - 1, (points[:, 2] > 2) & (points[:, 2] < 2.2)
    assert (is_left & is_far).any()
    assert (~is_left & is_far).any()
    assert float(found[is_left & is_far].min()) > float(found[~is_left & is_far & (column > width // 2 + 1)].max())
