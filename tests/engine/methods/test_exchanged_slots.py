"""Slots of one method in another, by YAML alone: each exchange trains two steps and makes a scene."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from panoptic3d.config import Config
from panoptic3d.engine.methods.base import Method
from panoptic3d.engine.methods.clearview.config import ClearviewTrainingConfig
from panoptic3d.engine.methods.clearview.method import ClearviewMethod
from panoptic3d.engine.methods.panorecon.method import PanoReconMethod
from panoptic3d.engine.methods.table import load_training_config
from panoptic3d.engine.methods.uni3d.config import PooledQuerySettings
from panoptic3d.engine.methods.uni3d.pooled import (
    PooledQueryMethod,
    true_segments,
    with_measured_depth,
    with_true_segments,
)
from panoptic3d.engine.methods.uni3d.truth import inside_segments, voxel_members
from panoptic3d.engine.methods.uni3d.voxel_terms import query_voxel_terms
from panoptic3d.engine.training.config import TrainingConfig
from panoptic3d.engine.training.stages import learnable_names, set_trained_parts
from panoptic3d.engine.training.starting import start_from
from panoptic3d.errors import ConfigError, InputError
from panoptic3d.models.centre_grouping.decoder import CentreGrouping
from panoptic3d.models.occupancy_lift import lift as occupancy_lift
from panoptic3d.models.occupancy_lift.instance_lift import InstanceOccupancyLift
from panoptic3d.models.pixel_queries.segments import segments_of
from panoptic3d.models.slots import CLASS_MAP
from panoptic3d.sparse import voxel_set
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.prediction import InstanceSurface, Levels
from panoptic3d.structures.taxonomy import CHAIR, FRONT3D_TAXONOMY, SOFA, WALL
from tests.engine.methods.conftest import SMALL_GRID, WALL_M, batch_of, room

AT_ONCE = {"steps_64": 0, "steps_128": 0}
BY_OCCUPANCY = {
    "rays": {"num_planes": 12, "plane_spacing_m": 0.5},
    "lift": {"name": "occupancy-instances"},
    "voxel_net": {"num_features": 7},
}


def two_steps(method: Method, batch: Batch) -> list[Mapping[str, Tensor]]:
    optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], 0.01)
    said = []
    for step in range(2):
        terms = method(batch, step)
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        said.append({name: term.detach() for name, term in terms.items()})
    return said


@pytest.fixture
def lifted_by_occupancy(
    training: Callable[..., PanoReconMethod], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., PanoReconMethod]:
    monkeypatch.setattr(occupancy_lift, "FRONT3D_GRID", SMALL_GRID)

    def build(*parts: str, **supply: str) -> PanoReconMethod:
        return training(*parts, network=BY_OCCUPANCY, supply=supply, curriculum=AT_ONCE)

    return build


@pytest.mark.slow
def test_panorecon_lifted_by_occupancy(lifted_by_occupancy: Callable[..., PanoReconMethod]) -> None:
    """Planes are learnt in 2D, and the true ones reach the voxels behind things that a surface lift leaves out."""
    method = lifted_by_occupancy("2d", "3d", depth="truth", instances="truth", planes="truth")
    batch = batch_of(room(0))
    first, second = two_steps(method, batch)
    assert first["planes"] > second["planes"] > 0
    assert "geometry" in second
    assert method.network.rays.planes.logits.weight.grad.abs().sum() > 0
    seen = method.given_image_truth(batch)
    lifted = method.network.lift(seen.rays, seen.panoptic)
    assert isinstance(method.network.lift, InstanceOccupancyLift)
    behind_m = lifted.features[:, 1]
    hides = lifted.features[:, 10:].amax(dim=1) > 0.5  # pixels of things
    assert behind_m[hides].max() > 1.0  # metres, up to the wall
    for scene in (*method.scenes(batch), *method.scenes_given_image_truth(batch)):
        assert scene.distance_vox.shape == SMALL_GRID.shape


def queries_over_maps(*parts: str) -> PooledQueryMethod:
    torch.manual_seed(0)
    network = {
        "fit": {"name": "scaled", "width": 96, "height": 64},
        "trunk": {"name": "resnet18", "width": 16},
        "neck": {"width": 8},
        "panoptic": {"name": "pixel-queries", "num_channels": 8, "min_pixels": 10},
        "rays": {"name": "layered", "width": 8, "num_planes": 4},
        "lift": {"grid": "camera"},
        "voxel_net": {"num_features": 8, "num_query_channels": 8, "width": 1},
    }
    tree = {"network": network, "min_pixels": 20, "supply": {"depth": "truth"}}
    method = PooledQueryMethod(PooledQuerySettings.model_validate(tree))
    set_trained_parts(method, parts or ("3d",), learnable_names(method))
    return method


@pytest.mark.slow
def test_queries_over_clearviews_maps() -> None:
    """True segments ask: as many queries as segments, with the gradient of their embedding, and none for the maps."""
    method, batch = queries_over_maps(), batch_of(room(0))
    first, second = two_steps(method, batch)
    assert {"distance", "query_voxels_64", "query_voxels_16"} <= set(first)
    assert sum(second.values()) < sum(first.values())
    assert all(p.grad is not None for p in method.network.panoptic.embed.parameters())
    assert all(p.grad is None for module in method.parts()["2d"] for p in module.parameters())
    (scene,) = method.scenes(batch)
    assert scene.distance_vox.shape == (256, 256, 256)


@pytest.mark.slow
def test_buols_grouping_behind_clearviews_voxels() -> None:
    """The decoder has no weights, so the training is clearview's; true depth stands in place of its own."""
    torch.manual_seed(0)
    network = {
        "fit": {"width": 96, "height": 64},
        "trunk": {"width": 8},
        "rays": {"width": 8},
        "voxel_net": {"channels_64": [4, 8], "channels_128": 4, "channels_256": 4},
        "decode": {"name": "centres", "centres": "seeds"},
    }
    tree = {"network": network, "imagenet": False, "steps_64": 0, "true_depth": [1.0, 1.0]}
    method, batch = ClearviewMethod(ClearviewTrainingConfig.model_validate(tree)), batch_of(room(0))
    first, second = two_steps(method, batch)
    assert "membership" in first
    assert second["depth_error"] < first["depth_error"]
    (scene,) = method.scenes(batch)
    assert isinstance(method.network.decode, CentreGrouping)
    assert scene.distance_vox.shape == (256, 256, 256)


def test_queries_know_the_true_classes_and_depth() -> None:
    method, batch = queries_over_maps(), batch_of(room(0), room(1, num_things=0))
    seen = method.network.see(batch.image, batch.cameras)
    truths = true_segments(batch, seen, method.taxonomy, 20)
    seen = with_measured_depth(batch, with_true_segments(method.network.panoptic, seen, truths))
    assert [found.class_ids.tolist() for found in seen.panoptic.instances] == [[SOFA, CHAIR, WALL], [WALL]]
    assert seen.panoptic.maps[CLASS_MAP][1, WALL].min() == 1
    assert seen.rays.depth_m[1].unique().tolist() == [WALL_M]
    lifted = method.network.lift(seen.rays, seen.panoptic, tuple(truth.grid for truth in batch.truths))
    assert [tuple(queries.shape) for queries in lifted.queries] == [(3, 8), (1, 8)]
    assert lifted.features.shape[1] == 2 + 8 + 13


def test_the_exact_answer_costs_nothing_and_is_the_truth() -> None:
    """Segments of the picture, their voxels in the loss, the order of the queries and the decoder mean the same things."""
    method, batch = queries_over_maps(), batch_of(room(0))
    seen = method.network.see(batch.image, batch.cameras)
    (segments,), (truth,) = true_segments(batch, seen, method.taxonomy, 20), batch.truths
    seen = with_true_segments(method.network.panoptic, seen, (segments,))
    seen = replace(with_measured_depth(batch, seen), grids=(truth.grid,))
    near = truth.distance_vox.abs() < 3
    voxels = voxel_set(F.pad(truth.coords[near], (1, 0)), 1, truth.grid.shape)
    inside = inside_segments(truth, voxel_members(truth, segments), voxels.coords[:, 1:].long(), 1)
    level = InstanceSurface(
        candidates=voxels,
        occupancy_logit=torch.full((len(voxels),), 30.0),
        voxels=voxels,
        is_kept=torch.ones(len(voxels), dtype=torch.bool),
        instance_logits=torch.where(inside, 30.0, -30.0),
        distance_vox=truth.distance_vox[near].abs(),
    )
    targets = torch.arange(len(segments))
    terms = query_voxel_terms([level], truth, segments, targets, 3.0, method.settings.voxel_terms)
    assert max(terms.values()) < 1e-6
    prediction = method.network.complete(seen, voxel_net=lambda lifted: Levels((), level))
    (scene,) = method.network.decode(prediction)
    is_labelled = truth.dense_semantic() > 0
    assert torch.equal(scene.semantic[is_labelled], truth.dense_semantic()[is_labelled])
    assert [segment.name for segment in scene.segments if segment.name != "wall"] == ["sofa-1", "chair-2"]
    for number, true_id in ((1, 20), (2, 21)):
        assert torch.equal((scene.instance == number) & is_labelled, truth.dense_instance() == true_id)


def test_regions_of_things_that_touch_are_one_and_stuff_is_one_anywhere() -> None:
    class_map = torch.full((12, 16), WALL)
    class_map[2:5, 2:5] = class_map[5:8, 5:8] = SOFA  # they touch at a corner
    class_map[2:5, 10:13] = SOFA
    class_map[9, 9] = CHAIR  # too small
    class_map[:, 8] = 0
    probabilities = 0.8 * F.one_hot(class_map, 13).permute(2, 0, 1).float()
    found = segments_of(probabilities, FRONT3D_TAXONOMY, min_pixels=2)
    assert found.class_ids.tolist() == [SOFA, SOFA, WALL]
    assert sorted(found.masks[:2].sum(dim=(1, 2)).tolist()) == [9, 18]
    torch.testing.assert_close(found.scores, torch.full((3,), 0.8))
    assert float(found.class_map(13).sum()) == int((class_map > 0).sum()) - 1
    nothing = segments_of(F.one_hot(torch.zeros(4, 4).long(), 13).permute(2, 0, 1).float(), FRONT3D_TAXONOMY, 0)
    assert nothing.masks.shape == (0, 4, 4)


def test_its_maps_are_trained_elsewhere() -> None:
    method = queries_over_maps("2d", "3d")
    with pytest.raises(ConfigError, match="`method: clearview` trains"):
        method(batch_of(room(0)), 0)
    with pytest.raises(ConfigError, match="looks inside of PixelQueries"):
        PooledQueryMethod(PooledQuerySettings.model_validate({"network": {}}))


def test_weights_of_some_slots(tmp_path: Path) -> None:
    """A network with other fillings behind the maps starts from those maps."""
    method, other = queries_over_maps(), queries_over_maps()
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter)
    weights = {name: t for name, t in other.network.state_dict().items() if not name.startswith("panoptic.embed")}
    save_file(weights | {"voxel_net.of_another_kind": torch.ones(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    tree: dict[str, Any] = {"method": "pooled-queries", "settings": {"network": {}}, "data": {"root": "data"}}
    tree |= {"stages": [{"name": "3d", "steps": 1, "train": ["3d"]}], "start_from": str(tmp_path)}
    config = TrainingConfig.model_validate(tree | {"settings": Config()})
    with pytest.raises(InputError, match="holds 1 weights that the network lacks"):
        start_from(config, other.network)
    some = config.model_copy(update={"start_from_slots": ("trunk", "panoptic", "rays")})
    start_from(some, method.network)
    for name, tensor in weights.items():
        assert torch.equal(method.network.state_dict()[name], tensor) != name.startswith("voxel_net")
    with pytest.raises(InputError, match="no weights of the slot 'lift'; choose from panoptic, rays, trunk, voxel_net"):
        start_from(config.model_copy(update={"start_from_slots": ("lift",)}), method.network)


def test_without_planes_it_is_refused(training: Callable[..., PanoReconMethod]) -> None:
    with pytest.raises(ValueError, match="lift 'occupancy-instances' needs planes"):
        training("3d", network=BY_OCCUPANCY | {"rays": {"num_planes": 0}})
    with pytest.raises(ValueError, match="num_features is 6 where 7 come"):
        training("3d", network=BY_OCCUPANCY | {"voxel_net": {}})


@pytest.mark.parametrize(
    "name", ["panorecon-lifted-by-surface", "panorecon-lifted-by-occupancy", "clearview-with-queries"]
)
def test_configs_of_the_race_are_read(repository: Path, name: str) -> None:
    try:
        load_training_config(repository / "configs" / "race" / f"{name}.yaml")
    except ConfigError as error:
        pytest.fail(str(error))
