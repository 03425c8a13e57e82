"""BUOL's training: configs that read, parts that learn, targets against golden numbers of the real frames."""

from pathlib import Path

import pytest
import torch

from panoptic3d.config import read_yaml_tree, validate_config
from panoptic3d.data.dataset import open_dataset
from panoptic3d.engine.methods.buol.config import FAITHFUL_TRAINING, BuolSettings
from panoptic3d.engine.methods.buol.method import BuolMethod
from panoptic3d.engine.methods.table import load_training_config
from panoptic3d.models.buol.config import FAITHFUL, config_for_published_weights
from panoptic3d.structures.batch import Batch, collate
from tests.models.buol.small import small_config

RUNS = (
    "2d",
    "3d",
    "joint",
    "rooms-2d",
    "rooms-3d",
    "rooms-joint",
    "matterport-2d",
    "matterport-3d",
    "debug",
    "overfit",
)
IMAGE_TERMS = {"semantic_2d", "centre_2d", "offset_2d", "depth", "depth_gradient", "depth_normal", "planes"}
VOXEL_TERMS = {"occupancy_3d", "semantic_3d", "centre_3d", "offset_3d", "geometry"}


@pytest.mark.parametrize("name", RUNS)
def test_every_run_reads(name: str, repository: Path) -> None:
    config = load_training_config(repository / "configs" / "buol" / f"{name}.yaml")
    trained = {part for stage in config.stages for part in stage.train}
    kind = name.rpartition("-")[2]
    assert trained == {"2d": {"2d"}, "3d": {"3d"}, "overfit": {"3d"}}.get(kind, {"2d", "3d"})


@pytest.mark.parametrize("mode", ["corrected", "faithful"])
def test_the_two_modes_read(mode: str, repository: Path) -> None:
    tree = read_yaml_tree(repository / "configs" / "buol" / f"{mode}.yaml")["settings"]
    config = validate_config(BuolSettings, tree, mode)
    assert config.network == config_for_published_weights(mode)
    if mode == "faithful":
        assert config == BuolSettings.model_validate({"network": FAITHFUL, **FAITHFUL_TRAINING})


@pytest.fixture(scope="module")
def batch(repository: Path) -> Batch:
    dataset = open_dataset(repository / "data" / "tiny")
    return collate([dataset[0]])


@pytest.mark.slow
@pytest.mark.parametrize("part", ["2d", "3d"])
def test_a_part_learns_by_its_own_terms_alone(part: str, batch: Batch) -> None:
    torch.manual_seed(0)
    settings = BuolSettings.model_validate(
        {"network": small_config(lift={"frame": "camera"}, voxel_net={"frame": "camera"}), "supply": {"maps": "truth"}}
    )
    method = BuolMethod(settings)
    for name, modules in method.parts().items():
        for module in modules:
            module.requires_grad_(name == part)
    method.train()
    terms = method(batch, 0)
    assert set(terms) == (IMAGE_TERMS if part == "2d" else VOXEL_TERMS)
    assert all(bool(term.isfinite()) for term in terms.values())
    torch.stack(list(terms.values())).sum().backward()
    without = [name for name, p in method.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    assert all(p.grad is None for name, p in method.named_parameters() if not p.requires_grad)
