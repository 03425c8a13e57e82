"""A training step and a prediction of every method where no tensor of the CPU may meet one of the device."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import torch

from eval.gpu.host_syncs import counts, observed
from eval.gpu.pretended_device import Route
from panoptic3d.data.dataset import open_dataset
from panoptic3d.engine.methods.base import Method
from panoptic3d.engine.methods.buol.config import BuolSettings
from panoptic3d.engine.methods.buol.method import BuolMethod
from panoptic3d.models.surface_lift import lift
from panoptic3d.structures.batch import Batch, collate
from tests.engine.methods.conftest import SMALL_GRID, batch_of, room
from tests.engine.methods.test_half_precision import clearview, uni3d
from tests.models.buol.small import small_config

SETUPS: list[tuple[Route, torch.dtype | None]] = [("torch", None), ("triton", None), ("torch", torch.bfloat16)]
PARTS = {
    "panorecon": ("2d", "3d"),
    "buol": ("2d", "3d"),
    "uni3d": ("2d", "3d"),
    "clearview": (),
}
MOST_WAITS = 150  # of the voxel net, for a photo: a few for each set and plan, none for each chunk of work
Build = Callable[[], Method]


def buol() -> Method:
    torch.manual_seed(0)
    tree = {"network": small_config(lift={"frame": "camera"}, voxel_net={"frame": "camera"})}
    return BuolMethod(BuolSettings.model_validate(tree | {"supply": {"maps": "truth"}}))


@pytest.fixture
def builds(training: Callable[..., Method], monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Build]:
    monkeypatch.setattr(lift, "FRONT3D_GRID", SMALL_GRID)
    at_once = {"curriculum": {"steps_64": 0, "steps_128": 0}}
    return {"panorecon": partial(training, "2d", "3d", **at_once), "buol": buol, "uni3d": uni3d, "clearview": clearview}


def batch_for(name: str, repository: Path) -> Batch:
    if name == "buol":  # its grid is the released one
        return collate([open_dataset(repository / "data" / "tiny")[0]])
    return batch_of(room(0))


@pytest.mark.slow
@pytest.mark.parametrize(("route", "dtype"), SETUPS)
@pytest.mark.parametrize("name", PARTS)
def test_every_method(
    name: str, route: Route, dtype: torch.dtype | None, builds: Mapping[str, Build], repository: Path
) -> None:
    stages = {part: (part,) for part in PARTS[name]} or {"all": ()}
    syncs = observed(builds[name](), batch_for(name, repository), stages, 100, route, dtype)
    waits = counts(syncs, "wait")
    assert waits["predict", "trunk"] == 0
    assert 0 < waits["predict", "voxel_net"] < MOST_WAITS
