"""Depth that is no metric truth, depth as sensors have it, and the input that says where it was measured."""

from dataclasses import replace

import pytest
import torch

from panoptic3d.data.dataset import open_dataset
from panoptic3d.engine.methods.clearview.config import ClearviewTrainingConfig
from panoptic3d.engine.methods.clearview.method import ClearviewMethod, _true_maps
from panoptic3d.engine.training.growing import grown_weights
from panoptic3d.models.clearview.build import build_clearview
from panoptic3d.models.clearview.config import ClearviewConfig
from panoptic3d.models.given_depth import with_given_depth
from panoptic3d.structures.batch import collate
from panoptic3d.structures.given_depth import GivenDepth
from panoptic3d.structures.pixel_map import PixelMap
from panoptic3d.structures.sample import Sample
from tests.data.conftest import make_sample
from tests.engine.methods.test_clearview import SMALL


def _affine(sample: Sample) -> Sample:
    return replace(sample, depth_m=1.7 * sample.depth_m + 0.2 * (sample.depth_m > 0), depth_kind="affine")


@pytest.fixture(scope="module")
def samples(box_root) -> list[Sample]:
    dataset = open_dataset(box_root)
    return [dataset[0], dataset[1]]


def _terms(batch, **changes: object) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(ClearviewMethod(ClearviewTrainingConfig.model_validate(SMALL | changes)).eval()(batch, 5))


def test_a_cue_is_no_truth_of_depth_and_a_batch_may_mix_kinds() -> None:
    batch = collate([make_sample(), _affine(make_sample(1))])
    assert batch.depth_kinds == ("metric", "affine")
    true = _true_maps(batch, torch.zeros(2, 10, 12))
    assert bool((true.depth_m[0] > 0).any())
    assert not bool(true.depth_m[1].any())
    assert bool((true.semantic[1] > 0).any())


@pytest.mark.slow
def test_the_terms_of_a_cue_do_not_know_its_scale_and_shift(samples: list[Sample]) -> None:
    metric = _terms(collate(samples))
    assert "cue" not in metric
    mixed = _terms(collate([samples[0], _affine(samples[1])]))
    other = replace(_affine(samples[1]), depth_m=0.3 * samples[1].depth_m + 2.0 * (samples[1].depth_m > 0))
    again = _terms(collate([samples[0], other]))
    for name in ("cue", "cue_slope"):
        torch.testing.assert_close(mixed[name], again[name], rtol=1e-4, atol=1e-5)
    alone = _terms(collate(samples[:1]))
    torch.testing.assert_close(2 * mixed["depth_error"], alone["depth_error"], rtol=1e-4, atol=1e-5)
    with_normals = _terms(collate(samples), weights={"normals": 1.0})
    assert float(with_normals["normals"].detach()) > 0


@pytest.mark.slow
def test_depth_as_a_sensor_has_it_trains(samples: list[Sample]) -> None:
    changes: dict[str, object] = {"sensor": {}, "true_depth": (1.0, 1.0)}
    network = {**SMALL["network"], "rays": {"width": 8, "reads_measured": True}}
    terms = _terms(collate(samples), **changes, network=network)
    assert all(bool(value.isfinite()) for value in terms.values())
    whole = _terms(collate(samples), true_depth=(1.0, 1.0), network=network)
    assert not torch.equal(terms["distance"], whole["distance"])


@pytest.mark.slow
@pytest.mark.parametrize("has_votes", [False, True])
@torch.inference_mode()
def test_an_input_that_says_where_depth_was_measured_begins_by_changing_nothing(has_votes: bool) -> None:
    tree = {**SMALL["network"], "panoptic": {"has_votes": has_votes}}
    torch.manual_seed(0)
    small = build_clearview(ClearviewConfig.model_validate(tree))
    large = build_clearview(ClearviewConfig.model_validate({**tree, "rays": {"width": 8, "reads_measured": True}}))
    weights, grown = grown_weights(small.state_dict(), large.state_dict())
    large.load_state_dict(weights)
    assert len(grown) == 3
    sample = make_sample()
    seen = [p.see(sample.image[None], (sample.camera,)) for p in (small, large)]
    given = GivenDepth(sample.depth_m, PixelMap((1.0, 1.0), (0.0, 0.0)))
    seen += [with_given_depth(one, given)[0] for one in seen]
    made = [p.complete(one).levels for p, one in zip((small, large) * 2, seen, strict=True)]
    for one, other in ((made[0], made[1]), (made[2], made[3])):
        # A column of zeros may change the order in which a matrix product sums, which depends on the processor.
        assert torch.allclose(one.coarse[0].occupancy_logit, other.coarse[0].occupancy_logit, rtol=0, atol=1e-5)
        assert torch.allclose(one.finest.distance_vox, other.finest.distance_vox, rtol=0, atol=1e-4)
    marked = replace(seen[1], rays=replace(seen[1].rays, measured=torch.ones_like(seen[1].rays.depth_m)))
    same = large.complete(marked).levels  # to the bit, whatever the input says: its weights are zeros
    assert torch.equal(same.coarse[0].occupancy_logit, made[1].coarse[0].occupancy_logit)
    assert torch.equal(same.finest.distance_vox, made[1].finest.distance_vox)
    lifted = [large.lift(one.rays, one.panoptic).features[:, -1] for one in (seen[1], seen[3])]
    assert not bool(lifted[0].any())
    assert float(lifted[1].mean()) == pytest.approx(1.0)
