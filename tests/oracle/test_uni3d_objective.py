"""Targets, matching, both objectives and the gradients of the 3D one against the reference's, on the released frame."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from panoptic3d.data.front3d import read_front3d_sample
from panoptic3d.data.targets import geometry_target, pooled_mask
from panoptic3d.engine.methods.uni3d.config import QueryTermsConfig, QueryVoxelTermsConfig
from panoptic3d.engine.methods.uni3d.image_terms import matched_pairs, query_terms
from panoptic3d.engine.methods.uni3d.truth import SegmentTruth, segment_truth, voxel_members
from panoptic3d.engine.methods.uni3d.voxel_terms import query_voxel_terms
from panoptic3d.models.checkpoints.entries import entries_of
from panoptic3d.models.mask_transformer.stage import MaskTransformer
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import Panoptic2D
from panoptic3d.models.uni3d.names import their_name
from panoptic3d.structures.batch import collate
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY
from tests.oracle.uni3d_folder import Uni3dFolder
from tests.oracle.uni3d_run import Run2d, load_pipeline, run_2d, stored_merge

_FRAME = "sample_0007"
_LOSS_RELATIVE, _NORM_RELATIVE, _ZERO_NORM = 1e-4, 5e-2, 1e-3
_VANISHING = ".downsample.0.bias"  # of a convolution that stands before a norm
_POINTS = QueryTermsConfig(points="grid")
# Reference's name -> ours.
_TERMS_2D = {"ce": "query_class", "mask": "query_mask", "dice": "query_dice", "depth": "query_depth"}
_TERMS_3D = {f"loss_occupancy_{size}": f"occupancy_{size}" for size in (64, 128, 256)}
_TERMS_3D |= {f"loss_panoptic_{size}": f"query_voxels_{size}" for size in (64, 128, 256)} | {
    "loss_geometry": "distance"
}


@pytest.fixture(scope="module")
def expected(uni3d_root: Path) -> dict[str, Any]:
    path = uni3d_root / "objective.json"
    if not path.is_file():
        pytest.skip(f"{uni3d_root} holds no objective.json")
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def sample(expected: dict[str, Any], real_root: Path) -> Sample:
    return read_front3d_sample(real_root / "front3d", "official-sample", "0007")


@pytest.fixture(scope="module")
def pipeline(uni3d_root: Path) -> Pipeline:
    pipeline = load_pipeline(Uni3dFolder(uni3d_root))
    for name, parameter in pipeline.named_parameters():
        parameter.requires_grad_(name.startswith("voxel_net."))
    return pipeline


@pytest.fixture(scope="module")
def two(pipeline: Pipeline, uni3d_root: Path) -> Run2d:
    return run_2d(pipeline, Uni3dFolder(uni3d_root), _FRAME)


@pytest.fixture(scope="module")
def segments(sample: Sample, two: Run2d) -> SegmentTruth:
    padded = (two.fitted.pixels.shape[2], two.fitted.pixels.shape[3])
    return segment_truth(collate([sample]), 0, two.fitted.cameras[0], padded, FRONT3D_TAXONOMY, min_pixels=200)


def test_targets(expected: dict[str, Any], sample: Sample, segments: SegmentTruth) -> None:
    truth, wanted = sample.truth, expected["targets"]
    assert truth is not None
    assert list(segments.thing_ids) == expected["target_ids"]
    assert list(segments.stuff_ids) == expected["target_stuff"]
    assert segments.class_ids.tolist() == expected["target_classes"]
    assert segments.masks.sum(dim=(1, 2)).tolist() == wanted["mask_areas_2d"]
    assert float(segments.depth_m.double().sum()) == pytest.approx(wanted["depth_sum"], rel=1e-9)
    assert float(geometry_target(truth).double().sum()) == pytest.approx(wanted["geometry_sum"], rel=1e-9)
    members = voxel_members(truth, segments)
    for size, stride in ((64, 4), (128, 2), (256, 1)):
        counts = [int(pooled_mask(truth, row, stride).sum()) for row in members]
        assert counts == wanted["mask_voxels"][str(size)]


def test_the_2d_objective(expected: dict[str, Any], two: Run2d, segments: SegmentTruth) -> None:
    """Every layer is matched anew."""
    wanted = expected["losses_2d"]
    weights = dict(zip(_TERMS_2D, (2.0, 5.0, 5.0, 5.0), strict=True))
    assert {name: float(weight) for name, weight in wanted["weights"].items()} == weights
    total = 0.0
    for said, layer in zip(two.layers, wanted["layers"], strict=True):
        queries, targets = matched_pairs(said, 0, segments, _POINTS, torch.Generator())
        assert dict(zip(queries.tolist(), targets.tolist(), strict=True)) == dict(
            zip(layer["assignment"]["queries"], layer["assignment"]["targets"], strict=True)
        )
        terms = query_terms(said, 0, segments, float(len(segments)), 25.0, _POINTS, lambda _what: torch.Generator())
        for theirs, ours in _TERMS_2D.items():
            assert float(terms[ours]) / weights[theirs] == pytest.approx(layer[theirs], rel=_LOSS_RELATIVE)
        total += sum(float(term) for term in terms.values())
    assert total == pytest.approx(wanted["weighted_sum_all_layers"], rel=_LOSS_RELATIVE)


def test_the_3d_objective_and_its_gradients(
    expected: dict[str, Any],
    pipeline: Pipeline,
    two: Run2d,
    segments: SegmentTruth,
    sample: Sample,
    uni3d_root: Path,
) -> None:
    """With the stored results of the 2D part."""
    folder, stage = Uni3dFolder(uni3d_root), pipeline.panoptic
    assert isinstance(stage, MaskTransformer)
    assert sample.truth is not None
    queries, targets = matched_pairs(two.layers[-1], 0, segments, _POINTS, torch.Generator())
    wanted = expected["assignment"]
    assert dict(zip(queries.tolist(), targets.tolist(), strict=True)) == dict(
        zip(wanted["queries"], wanted["targets"], strict=True)
    )
    with torch.no_grad():
        maps = stage.decide.maps(two.features, [stored_merge(folder, _FRAME)])
        panoptic = Panoptic2D(two.panoptic.instances, {name: map_.clone() for name, map_ in maps.items()})
        lifted = pipeline.lift(pipeline.rays(two.pyramid, two.fitted.cameras, panoptic), panoptic)
    every = torch.from_numpy(folder.recorded(_FRAME, "decoder")["segm_decoder_out"])
    levels = pipeline.voxel_net(replace(lifted, queries=(every[queries],)))
    config = QueryVoxelTermsConfig()
    terms = query_voxel_terms(levels, sample.truth, segments, targets, float(len(segments)), config)
    assert set(terms) == set(_TERMS_3D.values())
    for theirs, ours in _TERMS_3D.items():
        assert float(terms[ours].detach()) == pytest.approx(
            expected["losses_3d"][theirs]["weighted"], rel=_LOSS_RELATIVE
        ), ours
    total = sum(terms.values(), torch.zeros(()))
    assert float(total.detach()) == pytest.approx(expected["total_3d_weighted"], rel=_LOSS_RELATIVE)
    total.backward()
    check_gradients(pipeline, expected)


def check_gradients(pipeline: Pipeline, expected: dict[str, Any]) -> None:
    parameters = dict(pipeline.named_parameters())
    norms: dict[str, Tensor] = {}
    for entry in entries_of(pipeline, their_name):
        if entry.ours in parameters and parameters[entry.ours].requires_grad:
            grad = parameters[entry.ours].grad
            assert grad is not None
            norms[entry.theirs] = grad.double().norm()
    assert set(norms) == set(expected["gradients"])
    for name, norm in norms.items():
        if name.endswith(_VANISHING):
            assert norm < _ZERO_NORM, name
        else:
            assert float(norm) == pytest.approx(expected["gradients"][name][0], rel=_NORM_RELATIVE), name
    total = torch.stack(list(norms.values())).norm()
    assert float(total) == pytest.approx(expected["gradient_norm_total"], rel=_NORM_RELATIVE)
