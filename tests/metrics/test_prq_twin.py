"""The fast score and its brute-force twin agree on every protocol, whatever the labels."""

import numpy as np
import pytest
from hypothesis import given, settings

from panoptic3d.metrics.brute_force import score_by_brute_force
from panoptic3d.metrics.evaluation_mask import evaluation_mask
from panoptic3d.metrics.panoptic_quality import score_sample
from panoptic3d.metrics.protocol import Protocol, built_in_protocols, load_protocol
from tests.metrics.grids import blocks, jittered, seeds, truth_of


def _easier(protocol: Protocol) -> Protocol:
    """On a tiny grid and image, so that the rules bite: a few pixels suffice and the camera of BUOL sees part of it."""
    tree = protocol.model_dump()
    if protocol.truth.instances.by == "pixel_majority":
        tree["truth"]["instances"] |= {"more_than_pixels": 20, "at_most": 2}
    if protocol.evaluation_mask.back_projection is not None:
        camera = {"camera_index": (5.0, 4.0, -30.0), "depth_m": (1.0, 2.5), "focal_px": 300.0}
        tree["evaluation_mask"]["back_projection"] |= camera
    return Protocol.model_validate(tree)


@pytest.mark.parametrize("name", built_in_protocols())
@settings(max_examples=20)
@given(seed=seeds)
def test_fast_equals_slow(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    protocol = _easier(load_protocol(name))
    volumes = blocks(rng, num_blocks=int(rng.integers(0, 12)))
    prediction = jittered(rng, volumes) if rng.random() < 0.7 else blocks(rng, 8)
    truth = truth_of(rng, volumes)
    mask = evaluation_mask(truth.frustum.mask, protocol.evaluation_mask)
    slow = score_by_brute_force(prediction.triple, volumes.triple, truth.pixels, mask, protocol)
    fast = score_sample(prediction.labelled, truth, protocol)
    assert fast.is_skipped == (slow is None)
    if slow is None:
        return
    tally = fast.tally
    assert set(tally.seen_classes) == set(slow)
    for class_id, counts in slow.items():
        score = tally.score(class_id)
        assert (score.tp, score.fp, score.fn, score.n) == tuple(counts[key] for key in ("tp", "fp", "fn", "n"))
        assert score.iou_sum == pytest.approx(counts["iou_sum"], abs=1e-10)
