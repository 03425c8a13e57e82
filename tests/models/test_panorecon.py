"""The whole method: its configs, and photos that nobody wants to see."""

from pathlib import Path

import pytest
import torch

from panoptic3d.config import load_config, read_yaml_tree, validate_config
from panoptic3d.errors import ConfigError
from panoptic3d.models.panorecon.build import build_panorecon
from panoptic3d.models.panorecon.config import PanoReconConfig, config_for_published_weights
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.taxonomy import MATTERPORT_TAXONOMY

CONFIGS = ("faithful", "corrected", "trained", "matterport")


def network_of(repository: Path, name: str) -> PanoReconConfig:
    path = repository / "configs" / "panorecon" / f"{name}.yaml"
    return validate_config(PanoReconConfig, read_yaml_tree(path)["settings"]["network"], origin=str(path))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_network_reads(name: str, repository: Path) -> None:
    config = network_of(repository, name)
    if name in ("faithful", "corrected"):
        assert config == config_for_published_weights(name)


def test_matterport_has_a_ceiling(repository: Path) -> None:
    config = network_of(repository, "matterport")
    assert build_panorecon(config).decode.taxonomy == MATTERPORT_TAXONOMY


def test_slots_that_disagree_are_refused() -> None:
    with pytest.raises(ConfigError, match="make them equal"):
        load_config(PanoReconConfig, overrides=["--lift.num_instance_channels", "8"])


@pytest.fixture(scope="module", params=["faithful", "corrected"])
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    """Narrow, and so hard to convince that scenes stay small."""
    torch.manual_seed(0)
    config = config_for_published_weights(request.param).model_dump()
    config["voxel_net"] |= {"width": 1, "threshold_64": 0.65, "threshold_128": 0.55}
    return build_panorecon(PanoReconConfig.model_validate(config))


def depth_is(pipeline: Pipeline, depth_m: float) -> None:
    torch.nn.init.zeros_(pipeline.rays.depth.weight)
    torch.nn.init.constant_(pipeline.rays.depth.bias, depth_m)


@pytest.mark.slow
@pytest.mark.parametrize("depth_m", [2.0, 50.0, -3.0, 0.0])
@pytest.mark.parametrize(("width", "height"), [(320, 240), (321, 239)])
def test_depth_beyond_and_behind(pipeline: Pipeline, depth_m: float, width: int, height: int) -> None:
    depth_is(pipeline, depth_m)
    image = torch.zeros(1, 3, height, width, dtype=torch.uint8)
    (scene,) = pipeline.infer(image, (Camera.from_fov(60.0, width, height),))
    check_scene(scene)


@pytest.mark.slow
@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_and_large(pipeline: Pipeline, value: int) -> None:
    depth_is(pipeline, 2.0)
    image = torch.full((1, 3, 3000, 4000), value, dtype=torch.uint8)
    (scene,) = pipeline.infer(image, (Camera.from_fov(70.0, 4000, 3000),))
    check_scene(scene)
    assert scene.camera.width == 4000


@pytest.mark.slow
def test_more_detections_than_channels(pipeline: Pipeline) -> None:
    depth_is(pipeline, 2.0)
    detector = pipeline.panoptic
    strict = detector.config
    rois = strict.rois.model_copy(update={"min_score": 0.0, "max_detections": 40, "nms_iou": 1.1})
    detector.config = strict.model_copy(update={"rois": rois, "confident_score": 0.0})
    try:
        image = torch.randint(0, 256, (1, 3, 240, 320), dtype=torch.uint8)
        camera = Camera.from_fov(60.0, 320, 240)
        prediction = pipeline(image, (camera,))
        assert len(prediction.instances[0].confident) >= 40
        check_scene(pipeline.decode(prediction)[0])
    finally:
        detector.config = strict


def check_scene(scene) -> None:
    assert scene.distance_vox.shape == (256, 256, 256)
    assert bool(((scene.distance_vox.abs() <= 3) & scene.distance_vox.isfinite()).all())
    assert int(scene.semantic.max()) < 13
    assert bool((scene.instance >= 0).all())
    assert all(segment.num_voxels > 0 for segment in scene.segments)
    assert bool((scene.semantic[scene.instance > 0] > 0).all())
