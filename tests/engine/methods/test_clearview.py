"""Our own method as the loop sees it: steps, stages, batches, and scenes from photos."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from panoptic3d.data.augment import flipped
from panoptic3d.data.dataset import open_dataset
from panoptic3d.engine.methods.clearview.config import ClearviewTrainingConfig
from panoptic3d.engine.methods.clearview.method import ClearviewMethod, kept_in_training
from panoptic3d.structures.batch import Batch, collate
from panoptic3d.structures.sample import Sample

SMALL = {
    "network": {
        "fit": {"width": 80, "height": 60},
        "trunk": {"width": 8},
        "rays": {"width": 8},
        "voxel_net": {"channels_64": [4, 8], "channels_128": 4, "channels_256": 4},
    },
    "imagenet": False,
    "steps_64": 1,
}


@pytest.fixture(scope="module")
def samples(box_root) -> list[Sample]:
    dataset = open_dataset(box_root)
    return [dataset[0], dataset[1]]


def method(**changes: object) -> ClearviewMethod:
    torch.manual_seed(0)
    return ClearviewMethod(ClearviewTrainingConfig.model_validate(SMALL | changes))


def terms_of(batch: Batch, step: int = 5) -> Mapping[str, Tensor]:
    """In evaluation mode: the trunk's batch norms would mix the samples."""
    return method().eval()(batch, step)


@pytest.mark.slow
def test_a_batch_costs_the_mean_of_its_samples(samples: list[Sample]) -> None:
    together = terms_of(collate(samples))
    alone = [terms_of(collate([sample])) for sample in samples]
    assert "shell" in together
    for name, value in together.items():
        expected = (alone[0][name] + alone[1][name]) / 2
        torch.testing.assert_close(value, expected, rtol=2e-4, atol=2e-4, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.slow
def test_every_weight_learns_and_steps_begin_coarse(samples: list[Sample]) -> None:
    own = method()
    first = own(collate(samples[:1]), 0)
    assert "shell" not in first
    assert "occupancy_64" in first
    sum(own(collate(samples[:1]), 5).values()).backward()
    without = [name for name, p in own.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
    assert without == []


@pytest.mark.slow
def test_a_step_is_a_function_of_its_number_and_keys(samples: list[Sample]) -> None:
    own = method().eval()
    first, again = own(collate(samples[:1]), 5), own(collate(samples[:1]), 5)
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.slow
def test_a_mirrored_sample_trains_on_its_mirrored_grid(samples: list[Sample]) -> None:
    terms = terms_of(collate([flipped(samples[0])]))
    assert all(bool(value.isfinite()) for value in terms.values())


@pytest.mark.slow
@torch.no_grad()
def test_terms_of_a_share_of_the_finest_level_are_those_of_the_whole_but_for_noise(samples: list[Sample]) -> None:
    batch = collate(samples[:1])
    whole = method(seed_jitter_cells=0.0, true_depth=[1.0, 1.0], depth_jitter=0.0).eval()(batch, 5)
    own = method(seed_jitter_cells=0.0, true_depth=[1.0, 1.0], depth_jitter=0.0, finest_share=0.5).eval()
    drawn = [own(batch, step) for step in range(5, 11)]
    for name in ("occupancy_64", "occupancy_128"):
        assert all(torch.equal(terms[name], whole[name]) for terms in drawn), name
    for name in ("occupancy_256", "distance", "shell", "classes"):
        values = torch.stack([terms[name] for terms in drawn])
        assert len(values.unique()) == len(values), name
        torch.testing.assert_close(values.mean(), whole[name], rtol=0.05, atol=0.0, msg=lambda m, n=name: f"{n}: {m}")


def test_scenes_come_from_the_photo_alone(samples: list[Sample]) -> None:
    (scene,) = method().eval().scenes(collate(samples[:1]))
    assert scene.distance_vox.shape == (256, 256, 256)
    assert scene.camera == samples[0].camera


def test_parts_are_the_whole_network() -> None:
    own = method()
    parts = {id(p) for modules in own.parts().values() for module in modules for p in module.parameters()}
    assert parts == {id(p) for p in own.network.parameters()}


def test_training_refines_the_band_and_the_likeliest_errors() -> None:
    logit = torch.tensor([-5.0, 3.0, 2.0, 1.0, -1.0])
    band = torch.tensor([True, False, False, True, False])
    assert kept_in_training(logit, band, 0.5).tolist() == [True, True, False, True, False]
    assert kept_in_training(logit, band, 9.0).tolist() == [True, True, True, True, False]
    assert kept_in_training(logit, ~band & False, 0.5).tolist() == [False] * 5
