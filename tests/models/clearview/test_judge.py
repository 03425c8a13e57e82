"""The judge reads what things are, and the score of a thing is the chance that it says."""

import math
from dataclasses import replace

import pytest
import torch

from panoptic3d.config import validate_config
from panoptic3d.data.dataset import open_dataset
from panoptic3d.errors import InputError
from panoptic3d.models.clearview.confidence import SeenFrom
from panoptic3d.models.clearview.config import DecodeConfig, JudgeConfig
from panoptic3d.models.clearview.decode import SeedDecode
from panoptic3d.models.clearview.judge import FEATURES, VoxelEvidence, evidence_of_things
from panoptic3d.structures.prediction import Levels, Prediction, ThingSeeds
from panoptic3d.structures.sample import Sample
from tests.models.clearview.test_decode import perfect


@pytest.fixture(scope="module")
def sample(box_root) -> Sample:
    return open_dataset(box_root)[0]


def _reading(feature: str, bias: float = 0.0) -> JudgeConfig:
    return JudgeConfig(bias=bias, weights=tuple(float(name == feature) for name in FEATURES))


def _with_scores(prediction: Prediction, scores: list[float]) -> Prediction:
    level = prediction.levels.finest
    return replace(
        prediction, levels=Levels((), replace(level, seeds=replace(level.seeds, scores=torch.tensor(scores))))
    )


def test_evidence_by_hand() -> None:
    """Thing 1 has four voxels in a row away from the camera, three of them near the surface and two seen; thing 2 has one."""
    joined = torch.tensor([1, 1, 1, 1, 2, 0])
    voxels = VoxelEvidence(
        coords=torch.tensor([[5, 5, 1], [5, 5, 2], [5, 5, 3], [5, 5, 4], [9, 9, 9], [0, 0, 0]]),
        probabilities=torch.tensor([[0.2, 0.8], [0.4, 0.6], [0.4, 0.6], [0.2, 0.8], [0.5, 0.5], [1.0, 0.0]]),
        occupied=torch.tensor([0.9, 0.8, 0.7, 0.1, 0.5, 0.5]),
        is_shell=torch.tensor([True, True, True, False, True, True]),
    )
    seen = SeenFrom(
        height=8,
        width=8,
        row=torch.tensor([0, 5, 5, 5, 0, 0]),
        column=torch.tensor([0, 1, 2, 2, 7, 0]),
        is_inside=torch.tensor([True, True, True, True, False, True]),
        gap_m=torch.tensor([0.0, 0.05, -0.08, 0.0, 0.0, 0.0]),
        log_spread=torch.tensor([-1.0, -2.0, -3.0, 5.0, -2.5, 0.0]),
        log_depth=torch.tensor([0.1, 0.2, 0.3, 5.0, 1.0, 0.0]),
    )
    seeds = ThingSeeds(
        member=torch.zeros(2, dtype=torch.int64),
        centre_vox=torch.zeros(2, 3),
        reach_vox=torch.tensor([2.0, 4.0]),
        embedding=torch.zeros(2, 1),
        class_logits=torch.zeros(2, 2),
        scores=torch.tensor([0.3, 0.6]),
    )
    evidence = evidence_of_things(joined, torch.tensor([0, 1, 0]), seeds, voxels, seen, 0.03)
    first, second = (dict(zip(FEATURES, row.tolist(), strict=True)) for row in evidence)
    assert first == pytest.approx(
        {
            "score": math.log(0.3 / 0.7),
            "shell": math.log(3),
            "class_share": math.log(0.7 / 0.3),
            "occupied": math.log(0.8 / 0.2),
            "log_spread": -2.0,
            "log_depth": 0.2,
            "depth_extent": math.log(4 * 0.03),
            "fill": math.log(3),
            "pixels": math.log(3),  # two squares
            "reach": math.log(2),
            "rank": math.log(2),
        },
        abs=1e-5,
    )
    assert second["pixels"] == 0  # it is outside of the photo
    assert second["rank"] == 0
    assert second["shell"] == 0


def test_a_judge_of_seeds_changes_nothing(sample: Sample) -> None:
    num = len(perfect(sample).levels.finest.seeds)
    said = _with_scores(perfect(sample), [0.1 + 0.8 * number / num for number in range(num)])
    (plain,) = SeedDecode(DecodeConfig(), 3.0)(said)
    (judged,) = SeedDecode(DecodeConfig(judge=_reading("score")), 3.0)(said)
    for name in ("instance", "semantic", "distance_vox", "confidence"):
        assert torch.equal(getattr(plain, name), getattr(judged, name))
    assert judged.scores == pytest.approx(plain.scores)


def test_a_score_is_the_chance_by_what_the_judge_reads(sample: Sample) -> None:
    """Here the number of voxels near the surface, of which the decoder counts the same."""
    (plain,) = SeedDecode(DecodeConfig(), 3.0)(perfect(sample))
    (judged,) = SeedDecode(DecodeConfig(judge=_reading("shell", -4.0)), 3.0)(perfect(sample))
    assert len(judged.scores) > 1
    for number, score in judged.scores.items():
        size = int(((plain.instance == number) & (plain.distance_vox < 1)).sum())
        assert math.log(score / (1 - score)) == pytest.approx(math.log(size) - 4.0, abs=1e-3)


def test_what_is_unlikely_becomes_free_space(sample: Sample) -> None:
    full = perfect(sample)
    num = len(full.levels.finest.seeds)
    assert num > 1
    (plain,) = SeedDecode(DecodeConfig(), 3.0)(full)
    said = _with_scores(full, [0.1, *[0.5] * (num - 1)])
    judge = _reading("score").model_copy(update={"least": 0.4})
    (judged,) = SeedDecode(DecodeConfig(judge=judge), 3.0)(said)
    lost = plain.instance == 1
    assert sorted(judged.scores) == list(range(1, num))
    for volume, empty in ((judged.instance, 0), (judged.semantic, 0), (judged.distance_vox, 3.0)):
        assert bool((volume[lost] == empty).all())
    assert torch.equal(judged.instance[~lost], (plain.instance[~lost] - 1).clamp(min=0))
    assert torch.equal(judged.semantic[~lost], plain.semantic[~lost])
    assert torch.equal(judged.distance_vox[~lost], plain.distance_vox[~lost])
    (none,) = SeedDecode(DecodeConfig(judge=judge.model_copy(update={"least": 0.9})), 3.0)(said)
    assert none.scores == {}
    assert int(none.instance.max()) == 0


def test_nothing_to_judge_is_nothing(sample: Sample) -> None:
    full = perfect(sample)
    level = full.levels.finest
    none = replace(
        level, seeds=level.seeds.of(torch.zeros(0, dtype=torch.int64)), instance_logits=level.instance_logits[:, :1]
    )
    (scene,) = SeedDecode(DecodeConfig(judge=_reading("score")), 3.0)(replace(full, levels=Levels((), none)))
    assert scene.scores == {}


def test_a_judge_of_other_features_is_refused() -> None:
    with pytest.raises(InputError, match="weights"):
        validate_config(DecodeConfig, {"judge": {"bias": 0, "weights": [1.0] * 5}}, "decode")
