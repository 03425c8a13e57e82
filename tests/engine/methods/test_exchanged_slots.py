"""Slots of one method in another, by YAML alone: each exchange trains two steps and makes a scene."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from panoptic3d.engine.methods.base import Method
from panoptic3d.engine.methods.panorecon.method import PanoReconMethod
from panoptic3d.engine.methods.table import load_training_config
from panoptic3d.errors import ConfigError
from panoptic3d.models.occupancy_lift import lift as occupancy_lift
from panoptic3d.models.occupancy_lift.instance_lift import InstanceOccupancyLift
from panoptic3d.structures.batch import Batch
from tests.engine.methods.conftest import SMALL_GRID, batch_of, room

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


def test_without_planes_it_is_refused(training: Callable[..., PanoReconMethod]) -> None:
    with pytest.raises(ValueError, match="lift 'occupancy-instances' needs planes"):
        training("3d", network=BY_OCCUPANCY | {"rays": {"num_planes": 0}})
    with pytest.raises(ValueError, match="num_features is 6 where 7 come"):
        training("3d", network=BY_OCCUPANCY | {"voxel_net": {}})


@pytest.mark.parametrize("name", ["panorecon-lifted-by-surface", "panorecon-lifted-by-occupancy"])
def test_configs_of_the_race_are_read(repository: Path, name: str) -> None:
    try:
        load_training_config(repository / "configs" / "race" / f"{name}.yaml")
    except ConfigError as error:
        pytest.fail(str(error))
