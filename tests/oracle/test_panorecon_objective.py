"""The 3D objective and its gradients against the reference's, on the released frame that the folder names."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from panoptic3d.data.front3d import read_front3d_sample
from panoptic3d.data.targets import Instances2d, geometry_target, instances_2d, level_targets
from panoptic3d.losses.voxel_objective import FAITHFUL_OBJECTIVE, VoxelObjectiveConfig, VoxelTargets, voxel_terms
from panoptic3d.models.panorecon.family import PANORECON
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import Panoptic2D
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.prediction import LabelledLevel, Levels, SurfaceLevel
from panoptic3d.structures.sample import Sample
from tests.oracle.panorecon_folder import OracleFolder
from tests.oracle.panorecon_run import load_pipeline

_FRAME = "sample_0007"
_LOSS_RELATIVE, _NORM_RELATIVE, _ZERO_NORM = 1e-4, 5e-2, 1e-4
_VARIANTS = ("matched_by_reference", "ground_truth_masks")
_VANISHING = ".downsample.0.bias"  # of a convolution that stands before a norm


@pytest.fixture(scope="module")
def expected(panorecon_root: Path) -> dict[str, Any]:
    path = panorecon_root / "objective.json"
    if not path.is_file():
        pytest.skip(f"{panorecon_root} holds no objective.json")
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def sample(expected: dict[str, Any], real_root: Path) -> Sample:
    return read_front3d_sample(real_root / "front3d", "official-sample", "0007")


@pytest.fixture(scope="module")
def things(sample: Sample) -> Instances2d:
    return instances_2d(sample)


@pytest.fixture(scope="module")
def targets(expected: dict[str, Any], sample: Sample, things: Instances2d) -> tuple[VoxelTargets, ...]:
    assert sample.truth is not None
    numbers = things.numbers()
    assert {str(old): new for old, new in numbers.items()} == expected["instance_id_mapping"]
    made = []
    for stride in (4, 2, 1):
        level = level_targets(sample.truth, stride, numbers)
        distance = geometry_target(sample.truth)[None] if stride == 1 else None
        volumes = (level.occupancy, level.semantic, level.instance, level.weight)
        made.append(VoxelTargets(*(volume[None] for volume in volumes), distance_vox=distance))
    return tuple(made)


@pytest.fixture(scope="module")
def pipeline(panorecon_root: Path) -> Pipeline:
    pipeline = load_pipeline(OracleFolder(panorecon_root))
    for name, parameter in pipeline.named_parameters():
        parameter.requires_grad_(name.startswith("voxel_net."))
    return pipeline


def levels_of(
    variant: str, pipeline: Pipeline, folder: OracleFolder, sample: Sample, things: Instances2d
) -> Levels[LabelledLevel, SurfaceLevel]:
    """The depth is the stored one: the reference's own."""
    with torch.no_grad():
        seen = pipeline.see(sample.image[None], (FRONT3D_CAMERA,), panoptic=lambda pyramid, cameras: Panoptic2D(()))
        depth_m = torch.from_numpy(folder.recorded(_FRAME, "stage2d")["depth"])[None]
        found = Instances2D.empty(FRONT3D_CAMERA)
        if variant == "ground_truth_masks":
            count = len(things.masks)
            found = Instances2D(
                camera=FRONT3D_CAMERA,
                boxes_px=things.boxes.float(),
                class_ids=torch.tensor(things.classes),
                scores=torch.ones(count),
                masks=things.masks.float(),
                is_confident=torch.ones(count, dtype=torch.bool),
            )
        lifted = pipeline.lift(replace(seen.rays, depth_m=depth_m), Panoptic2D((found,)))
    return pipeline.voxel_net(lifted)


def test_targets(expected: dict[str, Any], targets: tuple[VoxelTargets, ...]) -> None:
    counts = expected["targets"]
    for size, level in zip((64, 128, 256), targets, strict=True):
        assert int(level.occupancy.sum()) == counts[f"occupancy_{size}_ones"]
        assert float(level.weight.double().sum()) == pytest.approx(counts[f"weighting_{size}_sum"], rel=1e-6)
        if size < 256:
            for name, labels in (("instance", level.instance), ("semantic", level.semantic)):
                assert torch.bincount(labels.flatten().long()).tolist() == counts[f"{name}_{size}"]


@pytest.mark.parametrize("variant", _VARIANTS)
def test_losses_and_gradients(
    variant: str,
    expected: dict[str, Any],
    pipeline: Pipeline,
    panorecon_root: Path,
    sample: Sample,
    things: Instances2d,
    targets: tuple[VoxelTargets, ...],
) -> None:
    config = VoxelObjectiveConfig.model_validate(FAITHFUL_OBJECTIVE)
    is_differentiated = variant == "ground_truth_masks"  # where the file has gradients
    with torch.set_grad_enabled(is_differentiated):
        levels = levels_of(variant, pipeline, OracleFolder(panorecon_root), sample, things)
        terms = voxel_terms(levels, targets, config)
        total = sum(terms.values(), torch.zeros(()))
    wanted = expected[variant]
    assert set(terms) == set(wanted["losses"])
    for name, term in terms.items():
        assert float(term.detach()) == pytest.approx(wanted["losses"][name], rel=_LOSS_RELATIVE)
    assert float(total.detach()) == pytest.approx(wanted["total"], rel=_LOSS_RELATIVE)
    if is_differentiated:
        total.backward()
        check_gradients(pipeline, expected["gradients"])


def check_gradients(pipeline: Pipeline, expected: dict[str, Any]) -> None:
    parameters = dict(pipeline.named_parameters())
    seen = {}
    for entry in PANORECON.entries(pipeline, only_2d=False):
        if entry.ours in parameters and parameters[entry.ours].requires_grad:
            grad = parameters[entry.ours].grad
            assert grad is not None
            seen[entry.theirs] = float(grad.double().norm())
    assert set(seen) == set(expected)
    for name, norm in seen.items():
        if name.endswith(_VANISHING):
            assert norm < _ZERO_NORM, name
        else:
            assert norm == pytest.approx(expected[name]["l2"], rel=_NORM_RELATIVE), name
