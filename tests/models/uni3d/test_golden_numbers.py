"""The truth of real frames in place of networks, against numbers of the public reference (section 12 of its specification).

"Truth as 2D prediction": sure logits and masks at every fourth pixel, merged and lifted. "Truth as 3D prediction": the
distance field and sure logits on its band, decoded.
"""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from panoptic3d.data.front3d import read_front3d_sample
from panoptic3d.data.targets import geometry_target
from panoptic3d.engine.methods.uni3d.truth import SegmentTruth, segment_truth, voxel_members
from panoptic3d.models.mask_transformer.config import MaskTransformerConfig
from panoptic3d.models.mask_transformer.decision import DEPTH, FEATURES, SEGMENTS, SegmentDecision
from panoptic3d.models.mask_transformer.joint_decoder import QueryMaps
from panoptic3d.models.mask_transformer.pixel_decoder import PixelFeatures
from panoptic3d.models.query_decode.config import QueryDecodeConfig
from panoptic3d.models.query_decode.labels import query_labels
from panoptic3d.models.surface_lift.feature_config import FeatureLiftConfig
from panoptic3d.models.surface_lift.feature_lift import place
from panoptic3d.models.uni3d.config import FAITHFUL
from panoptic3d.structures.batch import collate
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.grid import FRONT3D_GRID
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

pytestmark = pytest.mark.real
_PADDED = (256, 320)
GOLDEN = {
    ("official-sample", "0007"): {
        "classes": [9, 4, 5, 10, 11],
        "mask_areas": [7540, 12077, 8508, 44433, 4106],
        "segments": [9, 4, 5, 10, 11],
        "areas": [0, 1788, 3052, 2084, 11300, 976],
        "depth_sum": 44_907.9582,
        "class_sums": {4: 3044.130, 5: 2077.279, 9: 1782.410, 10: 11224.877, 11: 965.104},
        "voxels": 45_817,
        "sums": [5046196, 5276206, 5527192],
        "distance_code": (4743, 85067.2655),
        "coarse": [8803, 1468, 156],
        "labels": [16686843, 40585, 19437, 2971, 19819, 7561],
    },
    ("70f7c6c1-c48f-4106-bcef-40b80b84bbad", "0001"): {
        "classes": [5, 3, 10, 11],
        "mask_areas": [1252, 7320, 53510, 14718],
        "segments": [5, 3, 10, 11],
        "areas": [0, 304, 1844, 13492, 3560],
        "depth_sum": 53_710.3273,
        "class_sums": {3: 1835.421, 5: 299.908, 10: 13461.527, 11: 3543.914},
        "voxels": 58_482,
        "sums": [7792857, 6900544, 7022837],
        "distance_code": (4532, 106582.9544),
        "coarse": [10778, 1832, 182],
        "labels": [16725169, 19010, 5526, 18939, 8572],
    },
}


@pytest.fixture(params=GOLDEN, ids=lambda key: key[1])
def frame(request: pytest.FixtureRequest, real_root: Path) -> tuple[Sample, SegmentTruth, dict]:
    sample = read_front3d_sample(real_root / "front3d", *request.param)
    truth = segment_truth(collate([sample]), 0, FRONT3D_CAMERA, _PADDED, FRONT3D_TAXONOMY, min_pixels=200)
    return sample, truth, GOLDEN[request.param]


def logits_of(truth: SegmentTruth) -> Tensor:
    logits = torch.zeros(100, 14)
    for query, class_id in enumerate(truth.class_ids.tolist()):
        logits[query, class_id] = 10 - 0.5 * query
    logits[len(truth) :, 13] = 10
    return logits


def test_the_truth_as_2d_prediction(frame: tuple[Sample, SegmentTruth, dict]) -> None:
    _, truth, golden = frame
    assert truth.class_ids.tolist() == golden["classes"]
    assert truth.masks.sum(dim=(1, 2)).tolist() == golden["mask_areas"]
    masks = torch.full((1, 100, 64, 80), -10.0)
    masks[0, : len(truth)][truth.masks[:, ::4, ::4]] = 10.0
    share = (truth.depth_m[::4, ::4] / 25).expand(1, 100, -1, -1)
    queries = torch.zeros(1, 100, 8)
    config = MaskTransformerConfig.model_validate(FAITHFUL["panoptic"])
    decide = SegmentDecision(config, FRONT3D_TAXONOMY)
    said = QueryMaps(logits_of(truth)[None], masks, share, queries, queries)
    found = decide(PixelFeatures((), torch.zeros(1, 8, 64, 80), None), said, (FRONT3D_CAMERA,))
    assert found.instances[0].class_ids.tolist() == golden["segments"]
    assert torch.bincount(found.maps[SEGMENTS].flatten()).tolist() == golden["areas"]
    assert float(found.maps[DEPTH].double().sum()) == pytest.approx(golden["depth_sum"], rel=1e-6)
    unsampled = decide.segments(said, 0, FRONT3D_CAMERA).merged.class_map.double().sum(dim=(1, 2))
    assert {c: pytest.approx(float(unsampled[c]), abs=2e-3) for c in golden["class_sums"]} == golden["class_sums"]
    assert found.maps[FEATURES].shape == (1, 8, 120, 160)
    check_lift(found.maps[DEPTH][0], golden)


def check_lift(depth_m: Tensor, golden: dict) -> None:
    config = FeatureLiftConfig.model_validate(FAITHFUL["lift"])
    camera = FRONT3D_CAMERA.resized(160, 120)
    placed = place(depth_m, camera, FRONT3D_GRID, 1, config)
    assert len(placed.coords) == golden["voxels"]
    assert placed.coords.sum(dim=0).tolist() == golden["sums"]
    signs, distance = golden["distance_code"]
    assert int(placed.offset_vox.sign().sum()) == signs
    assert float(placed.offset_vox.abs().sum()) == pytest.approx(distance, rel=1e-6)
    assert [len(place(depth_m, camera, FRONT3D_GRID, s, config).coords) for s in (2, 4, 8)] == golden["coarse"]


def test_the_truth_as_3d_prediction(frame: tuple[Sample, SegmentTruth, dict]) -> None:
    sample, truth, golden = frame
    assert sample.truth is not None
    field = geometry_target(sample.truth)
    band = (field < 3).nonzero()
    i, j, k = band.unbind(1)
    logits = torch.full((len(band), len(truth)), -10.0)
    for query, members in enumerate(voxel_members(sample.truth, truth)):
        logits[sample.truth.dense(members, False)[i, j, k], query] = 10.0
    scores = logits_of(truth).softmax(dim=1)[: len(truth)].amax(dim=1)
    config = QueryDecodeConfig.model_validate(FAITHFUL["decode"])
    labels = query_labels(logits, field[i, j, k], truth.class_ids, scores, FRONT3D_TAXONOMY, config)
    counts = torch.bincount(labels.segment, minlength=len(truth) + 1)
    counts[0] += field.numel() - len(band)
    assert counts.tolist() == golden["labels"]
    assert list(labels.class_of_segment[1:]) == golden["segments"]
