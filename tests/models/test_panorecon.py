"""The whole method: its configs, and photos that nobody wants to see."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from panoptic3d.config import load_config, read_yaml_tree, validate_config
from panoptic3d.errors import ConfigError
from panoptic3d.models.modes import Mode
from panoptic3d.models.panorecon.build import build_panorecon
from panoptic3d.models.panorecon.config import PanoReconConfig, config_for_published_weights
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.surface_lift import lift
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.prediction import LabelledLevel, Levels, SurfaceLevel
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
def test_no_detections(pipeline: Pipeline) -> None:
    """Background beyond doubt: there is stuff at most."""
    depth_is(pipeline, 2.0)
    torch.nn.init.zeros_(pipeline.panoptic.box_head.classes.weight)
    pipeline.panoptic.box_head.classes.bias.data[0] = 50.0
    camera = Camera.from_fov(60.0, 320, 240)
    prediction = pipeline(torch.randint(0, 256, (1, 3, 240, 320), dtype=torch.uint8), (camera,))
    pipeline.panoptic.box_head.classes.bias.data[0] = 0.0
    assert len(prediction.instances[0]) == 0
    (scene,) = pipeline.decode(prediction)
    check_scene(scene)
    assert not any(segment.is_thing for segment in scene.segments)


SMALL_GRID = VoxelGrid((64, 64, 64), 0.1, (31.6, 31.7, 2.4))


@pytest.mark.parametrize(
    ("size", "mode"),
    [
        pytest.param("small", "corrected", marks=pytest.mark.slow),
        pytest.param("small", "faithful", marks=pytest.mark.slow),
        pytest.param("full", "corrected", marks=pytest.mark.slow),
    ],
)
def test_a_batch_of_four_is_its_images(size: str, mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same lifted voxels and the same levels; the same bits from run to run, and in scenes."""
    network, images, cameras = untrained(size, mode, monkeypatch)
    with torch.inference_mode():
        together, again = (levels_of(network, images, cameras) for _ in range(2))
        for member in (0, 1, 2, 3) if size == "small" else (0, 3):
            voxels, levels = levels_of(network, images[member : member + 1], cameras[:1])
            assert len(voxels) > 0
            assert torch.equal(voxels[:, 1:], together[0][together[0][:, 0] == member][:, 1:])
            for batched, level in zip(together[1], levels, strict=True):
                same_level(batched.of_member(member), level)
        for first, second in zip(together[1], again[1], strict=True):
            assert torch.equal(first.occupancy_logit, second.occupancy_logit)
        _, scene = network.infer(images[2:], cameras[:2])
        (last,) = network.infer(images[3:], cameras[:1])
    assert torch.equal(scene.distance_vox, last.distance_vox)
    assert torch.equal(scene.semantic, last.semantic)
    assert torch.equal(scene.instance, last.instance)


def untrained(
    size: str, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> tuple[Pipeline, Tensor, tuple[Camera, Camera, Camera, Camera]]:
    """A narrow network on a grid of 64^3 or of the full size, with four images of noise and their cameras."""
    torch.manual_seed(0)
    config = config_for_published_weights(mode).model_dump()
    config["voxel_net"] |= {"width": 1, "threshold_64": 0.65, "threshold_128": 0.55}
    height, width = 240, 320
    if size == "small":
        monkeypatch.setattr(lift, "FRONT3D_GRID", SMALL_GRID)
        height, width = 64, 96
        config["fit"] |= {"width": width, "height": height}
        config["trunk"] |= {"width": 16}
        config["rays"] |= {"num_climbed": 2, "num_fused": 1}
        config["voxel_net"] |= {"num_features": 6}
    network = build_panorecon(PanoReconConfig.model_validate(config))
    torch.nn.init.constant_(network.rays.depth.bias, 2.0)
    images = torch.randint(0, 256, (4, 3, height, width), dtype=torch.uint8)
    camera = Camera.from_fov(60.0, width, height)
    return network, images, (camera, camera, camera, camera)


def levels_of(
    network: Pipeline, images: Tensor, cameras: tuple[Camera, ...]
) -> tuple[Tensor, Levels[LabelledLevel, SurfaceLevel]]:
    """What is lifted, and what is said of it."""
    lifted = []
    handle = network.voxel_net.register_forward_pre_hook(lambda _module, given: lifted.append(given[0]))
    levels = network(images, cameras).levels
    handle.remove()
    return lifted[0].voxels.coords, levels


def same_level(first: LabelledLevel, second: LabelledLevel) -> None:
    """Within 1e-5 of what the level says at most."""
    assert torch.equal(first.candidates.coords, second.candidates.coords)
    assert torch.equal(first.voxels.coords, second.voxels.coords)
    assert type(first) is type(second)
    for name in ("occupancy_logit", "semantic_logits", "instance_logits", "distance_vox"):
        if not hasattr(first, name):  # coarse levels have no distances
            assert name == "distance_vox"
            continue
        mine, other = getattr(first, name), getattr(second, name)
        if len(mine):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-5 * max(1.0, float(other.abs().max())))


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
