"""Uni-3D under training: which part learns what, batches, draws, images without anything to learn."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from panoptic3d.engine.methods.table import method_class
from panoptic3d.engine.methods.uni3d.config import Uni3dSettings
from panoptic3d.engine.methods.uni3d.method import Uni3dMethod
from panoptic3d.engine.training.stages import learnable_names, set_trained_parts
from panoptic3d.errors import InputError
from panoptic3d.models.surface_lift import lift
from tests.engine.methods.conftest import SMALL_GRID, batch_of, room

IMAGE_TERMS = {"query_class", "query_mask", "query_dice", "query_depth"}
VOXEL_TERMS = {f"{kind}_{size}" for kind in ("occupancy", "query_voxels") for size in (64, 32, 16)} | {"distance"}
AT_ONCE = {"steps_64": 0, "steps_128": 0}
NARROW: dict[str, Any] = {
    "fit": {"shorter_px": 64},
    "trunk": {"width": 8},
    "panoptic": {
        "pixel_decoder": {"width": 16, "num_layers": 1, "num_heads": 2, "hidden": 8, "norm_groups": 4},
        "joint_decoder": {"num_queries": 6, "num_layers": 2, "num_heads": 2, "hidden": 8, "depth_scale_m": 4.0},
        "merge": {"min_score": 0.0, "min_overlap": 0.0},
    },
    "voxel_net": {"num_features": 32, "num_query_channels": 16, "width": 1},
}
Build = Callable[..., Uni3dMethod]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Build:
    """With weights that are always the same, and a lift into the small grid."""
    monkeypatch.setattr(lift, "FRONT3D_GRID", SMALL_GRID)

    def made(*parts: str, **changes: Any) -> Uni3dMethod:
        torch.manual_seed(0)
        tree = {"network": NARROW, "image_terms": {"num_points": 64}, "min_pixels": 20, **changes}
        method = Uni3dMethod(Uni3dSettings.model_validate(tree))
        set_trained_parts(method, parts, learnable_names(method))
        return method

    return made


def total(terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def test_the_2d_stage_learns_2d_alone(build: Build) -> None:
    method = build("2d")
    before = torch.random.get_rng_state()
    terms = method(batch_of(room(0), room(1)), 3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert set(terms) == IMAGE_TERMS
    total(terms).backward()
    assert all(p.grad is not None for m in method.parts()["2d"] for p in m.parameters())
    assert not any(p.grad is not None for m in method.parts()["3d"] for p in m.parameters())


@pytest.mark.parametrize(
    ("step", "sizes"),
    [
        (0, (16,)),
        pytest.param(1, (16, 32), marks=pytest.mark.slow),
        pytest.param(2, (16, 32, 64), marks=pytest.mark.slow),
    ],
)
def test_the_3d_stage_learns_3d_alone_level_by_level(build: Build, step: int, sizes: tuple[int, ...]) -> None:
    method = build("3d", curriculum={"steps_64": 1, "steps_128": 1})
    assert not any(m.training for m in (method.network.trunk, method.network.panoptic))
    terms = method(batch_of(room(0)), step)
    is_there = tuple(f"_{size}" for size in sizes)
    assert set(terms) == {n for n in VOXEL_TERMS if n.endswith(is_there) or (n == "distance" and 64 in sizes)}
    total(terms).backward()
    assert all(p.grad is None for m in method.parts()["2d"] for p in m.parameters())
    assert method.network.voxel_net.project64.weight.grad.abs().sum() > 0


@pytest.mark.slow
def test_norms_are_frozen_or_drift(build: Build) -> None:
    """The reference's frozen 2D stage goes on collecting statistics."""
    for kind in ("frozen", "drifting"):
        method = build("3d", frozen_norms=kind, curriculum={"steps_64": 9, "steps_128": 0})
        before = method.network.trunk.bn1.running_mean.clone()
        method(batch_of(room(0)), 0)
        assert torch.equal(before, method.network.trunk.bn1.running_mean) == (kind == "frozen")
        method.eval()
        assert not any(module.training for module in method.modules())


def test_terms_of_a_batch_are_over_all_its_targets(build: Build) -> None:
    """Sums over pairs by all targets of the batch, means over images of the rest. The norms are held still for it."""
    method = build("2d")
    method.network.eval()
    rooms = [room(0), room(1, num_things=1)]
    first, second = (method(batch_of(sample), 3) for sample in rooms)
    together = method(batch_of(*rooms), 3)
    expected = {name: (3 * first[name] + 2 * second[name]) / 5 for name in IMAGE_TERMS}
    expected["query_class"] = (first["query_class"] + second["query_class"]) / 2
    for name, term in together.items():
        torch.testing.assert_close(term, expected[name], rtol=2e-3, atol=1e-4)


def test_draws_belong_to_the_step_and_the_sample(build: Build) -> None:
    method = build("2d")
    method.network.eval()
    terms = [method(batch_of(room(0)), step) for step in (3, 3, 4)]
    assert all(terms[0][name].item() == terms[1][name].item() for name in IMAGE_TERMS)
    assert terms[0]["query_mask"].item() != terms[2]["query_mask"].item()


@pytest.mark.slow
def test_a_photo_with_nothing_to_learn(build: Build) -> None:
    """No segment, no depth: every query is nothing."""
    sample = room(0, num_things=0)
    empty = replace(
        sample,
        semantic_2d=torch.zeros_like(sample.semantic_2d),
        instance_2d=torch.zeros_like(sample.instance_2d),
        depth_m=torch.zeros_like(sample.depth_m),
    )
    terms = build("2d")(batch_of(empty), 0)
    assert all(float(terms[name].detach()) == 0 for name in ("query_mask", "query_dice", "query_depth"))
    total(terms).backward()
    method = build("3d", curriculum=AT_ONCE)
    terms = method(batch_of(empty), 0)
    assert bool(total(terms).isfinite())
    assert float(terms["query_voxels_16"].detach()) == 0


@pytest.mark.slow
def test_more_targets_than_queries(build: Build) -> None:
    decoder = {"joint_decoder": {"num_queries": 2, "num_layers": 1, "num_heads": 2}}
    network = NARROW | {"panoptic": NARROW["panoptic"] | decoder}
    method = build("2d", "3d", network=network, curriculum={"steps_64": 9, "steps_128": 0})
    loss = total(method(batch_of(room(0)), 0))
    loss.backward()
    gradients = [parameter.grad for parameter in method.parameters() if parameter.grad is not None]
    assert bool(loss.isfinite())
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    assert any(bool(gradient.any()) for gradient in gradients)


def test_samples_without_voxels_are_refused(build: Build) -> None:
    with pytest.raises(InputError, match="these samples have none"):
        build("3d")(batch_of(replace(room(0), truth=None)), 0)


@pytest.mark.slow
def test_scenes_come_from_the_photo_alone(build: Build) -> None:
    method = build("2d")
    (scene,) = method.scenes(batch_of(room(0)))
    assert scene.distance_vox.shape == SMALL_GRID.shape
    assert method.network.trunk.training  # as before


def test_parts_are_the_whole_network(build: Build) -> None:
    method = build("2d", "3d")
    parts = {id(p) for modules in method.parts().values() for m in modules for p in m.parameters()}
    assert parts == {id(p) for p in method.network.parameters()}
    assert method_class("uni3d") is Uni3dMethod


@pytest.mark.slow
def test_debug_trains_and_predicts(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from panoptic3d.cli.main import main

    monkeypatch.chdir(repository)
    config = str(repository / "configs" / "uni3d" / "debug.yaml")
    assert main(["train", config, "--folder", str(tmp_path / "run")]) == 0
    latest = tmp_path / "run" / "checkpoints" / "latest"
    photo = tmp_path / "photo.png"
    Image.new("RGB", (320, 240), (90, 120, 60)).save(photo)
    assert main(["predict", str(photo), "--checkpoint", str(latest), "--out", str(tmp_path / "out")]) == 0
