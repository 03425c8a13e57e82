"""The whole method: photos that nobody wants to see, and a batch that is its images."""

import pytest
import torch
from torch import Tensor, nn

from panoptic3d.config import load_config
from panoptic3d.errors import ConfigError
from panoptic3d.models.buol.build import build_buol
from panoptic3d.models.buol.config import BuolConfig
from panoptic3d.models.centre_offsets.stage import HEAT, SEMANTIC
from panoptic3d.models.modes import Mode
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import CHAIR, WALL
from tests.models.buol.small import small_config


def small_pipeline(mode: Mode) -> Pipeline:
    torch.manual_seed(0)
    return build_buol(small_config(mode))


@pytest.fixture(scope="module", params=["faithful", "corrected"])
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    return small_pipeline(request.param)


def says(head: nn.Module, values: list[float]) -> None:
    """Whatever the image: the last convolution of a head is its bias."""
    last = [module for module in head.modules() if isinstance(module, nn.Conv2d)][-1]
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    last.bias.data = torch.tensor(values)


def of_class(class_id: int) -> list[float]:
    return [5.0 if number == class_id else 0.0 for number in range(13)]


def set_up(pipeline: Pipeline, depth_m: float, class_id: int, heat: float = 0.0) -> None:
    says(pipeline.rays.depth, [depth_m])
    says(pipeline.panoptic.semantic.heads[SEMANTIC], of_class(class_id))
    says(pipeline.panoptic.instance.heads[HEAT], [heat])


def scene_of(pipeline: Pipeline, image: Tensor, fov_deg: float = 60.0) -> PanopticScene:
    height, width = image.shape[2:]
    (scene,) = pipeline.infer(image, (Camera.from_fov(fov_deg, width, height),))
    assert bool(scene.distance_vox.isfinite().all())
    assert float(scene.distance_vox.min()) >= 0
    assert float(scene.distance_vox.max()) <= 3
    assert scene.semantic.shape == scene.instance.shape == scene.grid.shape
    return scene


@pytest.mark.slow
@pytest.mark.parametrize("depth_m", [2.0, 50.0, -3.0, 0.0])
@pytest.mark.parametrize(("width", "height"), [(320, 240), (321, 239)])
def test_depth_beyond_and_behind(pipeline: Pipeline, depth_m: float, width: int, height: int) -> None:
    set_up(pipeline, depth_m, WALL)
    scene_of(pipeline, torch.zeros(1, 3, height, width, dtype=torch.uint8))


@pytest.mark.slow
@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_and_large(pipeline: Pipeline, value: int) -> None:
    set_up(pipeline, 2.0, WALL)
    scene = scene_of(pipeline, torch.full((1, 3, 3000, 4000), value, dtype=torch.uint8), 70.0)
    assert scene.camera.width == 4000


@pytest.mark.slow
@pytest.mark.parametrize("heat", [0.0, 0.9])
def test_no_stuff_anywhere(pipeline: Pipeline, heat: float) -> None:
    """The reference fails here (section 9.4). Heat that is the same everywhere is one plateau: every pixel is a peak."""
    set_up(pipeline, 2.0, CHAIR, heat)
    scene_of(pipeline, torch.zeros(1, 3, 240, 320, dtype=torch.uint8))


def test_one_voxel_is_enough() -> None:
    """Nothing is lifted: the network still answers, and the scene is empty or small."""
    pipeline = small_pipeline("faithful")
    set_up(pipeline, 2.0, CHAIR)
    image = torch.zeros(1, 3, 64, 96, dtype=torch.uint8)
    with torch.inference_mode():
        prediction = pipeline(image, (Camera.from_fov(60.0, 96, 64),))
    assert len(prediction.instances[0]) == 0
    assert len(prediction.levels.finest.voxels) < 500


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["faithful", "corrected"])
def test_a_batch_is_its_images(mode: Mode) -> None:
    pipeline = small_pipeline(mode)
    says(pipeline.rays.depth, [1.5])
    says(pipeline.panoptic.semantic.heads[SEMANTIC], of_class(WALL))
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 240, 320), dtype=torch.uint8, generator=random)
    cameras = (Camera.from_fov(60.0, 320, 240),) * 2
    with torch.inference_mode():
        together = pipeline(images, cameras).levels.finest
        for member in range(2):
            alone = pipeline(images[member : member + 1], cameras[:1]).levels.finest
            own = together.of_member(member)
            assert torch.equal(own.voxels.coords, alone.voxels.coords)
            torch.testing.assert_close(own.semantic_logits, alone.semantic_logits, rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(own.occupancy_logit, alone.occupancy_logit, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_heads_at_three_centimetres() -> None:
    config = small_config().model_dump()
    for name in ("semantic", "instance", "geometry"):
        config["voxel_net"][name]["skip_channels"] = (4, 4, 4, 4)
    config["voxel_net"]["finest_stride"] = 1
    torch.manual_seed(0)
    pipeline = build_buol(BuolConfig.model_validate(config))
    set_up(pipeline, 1.5, WALL)
    image = torch.zeros(1, 3, 240, 320, dtype=torch.uint8)
    with torch.inference_mode():
        prediction = pipeline(image, (Camera.from_fov(60.0, 320, 240),))
    assert prediction.levels.finest.voxels.stride == 1
    scene_of(pipeline, image)


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (["--rays.num_planes", "0"], "needs planes"),
        (["--panoptic.num_classes", "5"], "make them equal"),
        (["--lift.frame", "released"], "make them equal"),
        (["--voxel_net.finest_stride", "1"], "skip_channels"),
    ],
)
def test_slots_that_disagree_are_refused(overrides: list[str], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        load_config(BuolConfig, overrides=overrides)
