"""A filling is exchanged by a few lines of YAML; two that do not fit are refused when the config is read."""

from pathlib import Path

import pytest
import torch

from panoptic3d.config import load_config
from panoptic3d.errors import ConfigError
from panoptic3d.models.clearview.config import ClearviewConfig
from panoptic3d.models.panorecon.config import PanoReconConfig
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.structures.camera import FRONT3D_CAMERA
from tests.strangers.examples import write_examples

NARROW = """
fit: {width: 96, height: 64}
rays: {num_climbed: 2, num_fused: 1}
panoptic: {rois: {width: 16}}
voxel_net: {width: 1, num_features: 6, threshold_64: 0.65, threshold_128: 0.55}
"""


def read(kind: type[PipelineConfig], folder: Path, text: str, trust: tuple[str, ...] = ()) -> PipelineConfig:
    (folder / "network.yaml").write_text(text)
    return load_config(kind, folder / "network.yaml", trust=trust)


@pytest.mark.parametrize(
    ("trunk", "channels"),
    [
        ("{name: resnet18, width: 16}", (16, 32, 64, 128)),
        ("{name: resnet50, width: 8}", (32, 64, 128, 256)),
        ("{name: efficientnet-lite0}", (24, 40, 112, 320)),
    ],
)
def test_panorecon_takes_any_trunk(tmp_path: Path, trunk: str, channels: tuple[int, ...]) -> None:
    config = read(PanoReconConfig, tmp_path, f"trunk: {trunk}\n{NARROW}")
    network = config.build()
    assert network.trunk.channels == config.channels == channels
    with torch.inference_mode():
        seen = network.see(torch.zeros(1, 3, 64, 96, dtype=torch.uint8), (FRONT3D_CAMERA.resized(96, 64),))
    assert tuple(stage.shape[1] for stage in seen.pyramid) == channels
    black = -1.0 if "efficient" in trunk else -0.485 / 0.229  # as the trunk's weights want it
    assert float(seen.fitted.pixels[0, 0, 0, 0]) == pytest.approx(black, abs=1e-5)


def test_clearview_takes_another_trunk_behind_its_neck(tmp_path: Path) -> None:
    config = read(ClearviewConfig, tmp_path, "trunk: {name: resnet18, width: 16}\nneck: {width: 8}\n")
    network = config.build()
    assert network.trunk.channels == config.channels == (8, 8, 8, 8)
    assert any(name.startswith("trunk.trunk.layer4.") for name in network.state_dict())


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (ClearviewConfig, "voxel_net: {name: frustum-unet}", "gives Gathered where voxel_net 'frustum-unet' takes"),
        (
            PanoReconConfig,
            "voxel_net: {name: refining-unet}",
            "gives SurfaceLifted where voxel_net 'refining-unet' takes",
        ),
        (PanoReconConfig, "decode: {name: seeds}", "voxel_net 'frustum-unet' gives .* where decode 'seeds' takes"),
        (PanoReconConfig, "lift: {num_instance_channels: 8}", "num_instances is 16 where 8 come"),
        (PanoReconConfig, "trunk: {name: resnet19}", "there is no trunk 'resnet19'; choose from resnet18"),
        (PanoReconConfig, "trunk: {widht: 16}", r"unknown key `trunk.widht` \(did you mean `trunk.width`\?\)"),
        (PanoReconConfig, "trunk: resnet18", "give a mapping with the name of a trunk"),
        (PanoReconConfig, "trunk: {name: 'elsewhere.nets:Trunk'}", "nothing was imported; .* --trust elsewhere"),
    ],
)
def test_what_does_not_fit_is_one_sentence(kind: type[PipelineConfig], tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(kind, tmp_path, text)


def test_a_strangers_trunk_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_examples(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = "trunk: {name: 'house_of_rooms.trunk:House', depth: 5}\nneck: {width: 8}\n"
    with pytest.raises(ConfigError, match="--trust house_of_rooms"):
        read(ClearviewConfig, tmp_path, text)
    network = read(ClearviewConfig, tmp_path, text, trust=("house_of_rooms",)).build()
    assert network.trunk.trunk.channels == (5, 5, 5, 5)


def test_a_mapping_may_refuse_what_it_extends(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("trunk: {norm: batch, width: 32}\n")
    text = "extends: base.yaml\ntrunk: {extends: null, name: efficientnet-lite1}\n"
    assert read(PanoReconConfig, tmp_path, text).trunk.name == "efficientnet-lite1"


def test_checkpoints_from_before_the_slots_had_names_still_read() -> None:
    old = {"trunk": {"name": "lite1", "width": 48}, "seeds": {"min_score": 0.1}, "pixels": {"has_votes": True}}
    config = ClearviewConfig.model_validate(old)
    assert (config.trunk.name, config.neck.width) == ("efficientnet-lite1", 48)
    assert config.voxel_net.seeds.min_score == 0.1
    assert config.panoptic.has_votes
