"""PanoRecon's training step: what trains, what does not, and that a batch is its samples."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from panoptic3d.config import canonical_json, read_yaml_tree, validate_config
from panoptic3d.engine.methods.panorecon.config import FAITHFUL_TRAINING, PanoReconSettings
from panoptic3d.engine.methods.panorecon.method import PanoReconMethod
from panoptic3d.engine.methods.table import load_training_config, method_class
from panoptic3d.errors import InputError
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.panorecon.config import FAITHFUL, config_for_published_weights
from tests.engine.methods.conftest import batch_of, room

Build = Callable[..., PanoReconMethod]
IMAGE_TERMS = {
    "depth",
    "depth_gradient",
    "depth_normal",
    "rpn_objectness",
    "rpn_boxes",
    "roi_classes",
    "roi_boxes",
    "roi_masks",
}
VOXEL_TERMS = {f"{name}_{size}" for size in (64, 128) for name in ("occupancy", "instance3d", "semantic3d")}
VOXEL_TERMS |= {"occupancy_256", "instance3d", "semantic3d", "geometry"}
AT_ONCE = {"steps_64": 0, "steps_128": 0}


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def test_the_2d_stage_learns_2d_alone(training: Build) -> None:
    method = training("2d")
    before = torch.random.get_rng_state()
    terms = method(batch_of(room(0), room(1)), 3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert set(terms) == IMAGE_TERMS
    total(terms).backward()
    learnt = {part: [p.grad is not None for m in ms for p in m.parameters()] for part, ms in method.parts().items()}
    assert all(learnt["2d"])
    assert not any(learnt["3d"])


@pytest.mark.parametrize("mode", ["corrected", pytest.param("faithful", marks=pytest.mark.slow)])
def test_a_batch_of_2d_samples_is_its_samples(training: Build, mode: str) -> None:
    method = training("2d", mode=mode)
    first, second = room(0), room(1)
    alone = [method(batch_of(sample), 3) for sample in (first, second)]
    for name, term in method(batch_of(first, second), 3).items():
        torch.testing.assert_close(term, (alone[0][name] + alone[1][name]) / 2, rtol=1e-5, atol=1e-6)


def test_draws_belong_to_the_step_and_the_sample(training: Build) -> None:
    method = training("2d")
    one, again = (method(batch_of(room(0)), 3) for _ in range(2))
    assert {name: term.item() for name, term in one.items()} == {name: term.item() for name, term in again.items()}
    later, other = method(batch_of(room(0)), 4), method(batch_of(replace(room(0), frame="0009")), 3)
    assert one["roi_classes"].item() not in (later["roi_classes"].item(), other["roi_classes"].item())


def test_a_photo_without_things_and_without_depth(training: Build) -> None:
    method = training("2d")
    empty = room(0, num_things=0)
    terms = method(batch_of(replace(empty, depth_m=torch.zeros_like(empty.depth_m))), 0)
    assert all(term.isfinite() for term in terms.values())
    assert [terms[name].item() for name in ("depth", "roi_boxes", "roi_masks", "rpn_boxes")] == [0, 0, 0, 0]
    total(terms).backward()


def test_the_weight_of_background_in_both_modes(training: Build) -> None:
    """An undecided head on backgrounds and sofas: ln 13 whatever the weights. Sure of background: they decide."""
    seen = {}
    for mode in ("corrected", "faithful"):
        method = training("2d", mode=mode)
        head = method.network.panoptic.box_head.classes
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
        assert method(batch_of(room(0)), 0)["roi_classes"].item() == pytest.approx(torch.tensor(13.0).log().item())
        with torch.no_grad():
            head.bias[0] = 20.0
        seen[mode] = method(batch_of(room(0)), 0)["roi_classes"].item()
    # Things are 20 wrong, background is right. Its weight of 0.001 makes the mean that of the things.
    assert seen["faithful"] == pytest.approx(20, rel=1e-2)
    assert 2 < seen["corrected"] < 19


@pytest.mark.parametrize(
    ("step", "is_there"), [(0, ("_64",)), pytest.param(1, ("_64", "_128"), marks=pytest.mark.slow)]
)
def test_the_3d_stage_learns_3d_alone_level_by_level(training: Build, step: int, is_there: tuple[str, ...]) -> None:
    method = training("3d", curriculum={"steps_64": 1, "steps_128": 1}, supply={"depth": "truth"})
    assert method.training
    assert not any(m.training for m in (method.network.trunk, method.network.rays, method.network.panoptic))
    terms = method(batch_of(room(0)), step)
    assert set(terms) == {name for name in VOXEL_TERMS if name.endswith(is_there)}
    total(terms).backward()
    assert all(p.grad is None for m in method.parts()["2d"] for p in m.parameters())
    assert method.network.voxel_net.heads64.occupancy.weight.grad.abs().sum() > 0


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "supply"), [("corrected", "truth"), ("faithful", "matched")])
def test_a_batch_of_3d_samples_is_its_samples(training: Build, mode: str, supply: str) -> None:
    """And the same from run to run, to the bit. With true depth: the network's own rounds otherwise in a batch, and a voxel
    that a pixel then misses is another input.
    """
    given = {"depth": "truth", "instances": supply}
    method = training("3d", mode=mode, curriculum=AT_ONCE, supply=given)
    rooms = [room(0), room(1, num_things=1), room(2, num_things=0), room(3)]
    alone = [method(batch_of(sample), 7) for sample in rooms]
    together, again = (method(batch_of(*rooms), 7) for _ in range(2))
    assert set(together) == VOXEL_TERMS
    for name, term in together.items():
        expected = torch.stack([terms[name] for terms in alone]).mean()
        torch.testing.assert_close(term, expected, rtol=1e-5, atol=1e-5)
        assert term.item() == again[name].item()


@pytest.mark.slow
def test_both_stages_at_once(training: Build) -> None:
    method = training(curriculum=AT_ONCE)
    terms = method(batch_of(room(0)), 0)
    assert set(terms) == IMAGE_TERMS | VOXEL_TERMS
    total(terms).backward()
    # What is lifted teaches the trunk, too.
    without = training("2d")
    total(without(batch_of(room(0)), 0)).backward()
    first, second = (m.network.trunk.conv1.weight.grad for m in (method, without))
    assert not torch.allclose(first, second)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "depth_m"), [("corrected", 50.0), ("faithful", 50.0), ("faithful", -3.0)])
def test_an_empty_frustum_goes_on(training: Build, mode: str, depth_m: float) -> None:
    method = training("3d", mode=mode, curriculum=AT_ONCE)
    torch.nn.init.zeros_(method.network.rays.depth.weight)
    torch.nn.init.constant_(method.network.rays.depth.bias, depth_m)
    terms = method(batch_of(room(0), room(1, num_things=0)), 0)
    assert all(term.isfinite() for term in terms.values())
    total(terms).backward()
    assert all(p.grad.isfinite().all() for p in method.network.voxel_net.parameters() if p.grad is not None)


def test_samples_without_voxels_are_refused(training: Build) -> None:
    with pytest.raises(InputError, match="read them with voxels"):
        training("3d")(batch_of(replace(room(0), truth=None)), 0)


@pytest.mark.slow
def test_scenes_come_from_the_photo_alone(training: Build) -> None:
    method = training("3d")
    (scene,) = method.scenes(batch_of(replace(room(0), truth=None)))
    (told,) = method.scenes_given_image_truth(batch_of(room(0)))
    assert scene.distance_vox.shape == told.distance_vox.shape == (64, 64, 64)
    assert scene.camera == room(0).camera
    assert method.training


def test_what_training_saves_predict_loads(training: Build, tmp_path: Path) -> None:
    method = training("2d")
    save_file(method.network.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(canonical_json(method.network_config))
    loaded = load_network(tmp_path).state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in method.network.state_dict().items())


def test_parts_are_the_whole_network(training: Build) -> None:
    method = training("2d")
    inside = {id(p) for modules in method.parts().values() for m in modules for p in m.parameters()}
    assert inside == {id(p) for p in method.network.parameters()}


def test_the_engine_knows_it_by_name() -> None:
    assert method_class("panorecon") is PanoReconMethod


RUNS = (
    "2d",
    "3d",
    "joint",
    "debug",
    "rooms-2d",
    "rooms-3d",
    "rooms-joint",
    "matterport-2d",
    "matterport-3d",
    "overfit",
)


@pytest.mark.parametrize("name", RUNS)
def test_every_run_reads(name: str, repository: Path) -> None:
    config = load_training_config(repository / "configs" / "panorecon" / f"{name}.yaml")
    trained = {part for stage in config.stages for part in stage.train}
    kind = name.rpartition("-")[2]
    assert trained == {"2d": {"2d"}, "3d": {"3d"}, "overfit": {"3d"}}.get(kind, {"2d", "3d"})


@pytest.mark.parametrize("mode", ["corrected", "faithful"])
def test_the_two_modes_read(mode: str, repository: Path) -> None:
    tree = read_yaml_tree(repository / "configs" / "panorecon" / f"{mode}.yaml")["settings"]
    config = validate_config(PanoReconSettings, tree, mode)
    assert config.network == config_for_published_weights(mode)
    assert config.image_terms.background_weight == (0.001 if mode == "faithful" else 1.0)
    if mode == "faithful":
        assert config == PanoReconSettings.model_validate({"network": FAITHFUL, **FAITHFUL_TRAINING})
