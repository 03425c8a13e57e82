"""The whole method: its configs, batches, and photos that nobody wants to see."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from panoptic3d.config import load_config, read_yaml_tree, validate_config
from panoptic3d.engine.methods.table import load_training_config
from panoptic3d.errors import ConfigError
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.surface_lift import lift
from panoptic3d.models.uni3d.build import build_uni3d
from panoptic3d.models.uni3d.config import Uni3dConfig, config_for_published_weights
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import CHAIR, VOID

SMALL_GRID = VoxelGrid((64, 64, 64), 0.1, (31.6, 31.7, 2.4))
RUNS = (
    "2d",
    "3d",
    "rooms-2d",
    "rooms-3d",
    "multi-scale",
    "matterport-2d",
    "matterport-3d",
    "debug",
    "overfit-2d",
    "overfit",
)


def network_of(repository: Path, name: str) -> Uni3dConfig:
    path = repository / "configs" / "uni3d" / f"{name}.yaml"
    return validate_config(Uni3dConfig, read_yaml_tree(path)["settings"]["network"], origin=str(path))


def test_the_modes_are_those_of_published_weights(repository: Path) -> None:
    for name in ("faithful", "corrected"):
        assert network_of(repository, name) == config_for_published_weights(name)


@pytest.mark.parametrize("name", RUNS)
def test_every_run_reads(name: str, repository: Path) -> None:
    config = load_training_config(repository / "configs" / "uni3d" / f"{name}.yaml")
    assert config.method == "uni3d"


def test_slots_that_disagree_are_refused() -> None:
    with pytest.raises(ConfigError, match="make them equal"):
        load_config(Uni3dConfig, overrides=["--voxel_net.num_features", "8"])
    with pytest.raises(ConfigError, match="make them equal"):
        load_config(Uni3dConfig, overrides=["--lift.scales", "multi"])


def small(mode: str, scales: str = "single") -> Pipeline:
    torch.manual_seed(0)
    tree = config_for_published_weights(mode, scales).model_dump()
    tree["trunk"]["width"] = 8
    tree["panoptic"]["pixel_decoder"] |= {"width": 16, "num_layers": 1, "num_heads": 2, "hidden": 8, "norm_groups": 4}
    tree["panoptic"]["joint_decoder"] |= {"num_queries": 6, "num_layers": 2, "num_heads": 2, "hidden": 8}
    tree["panoptic"]["merge"] |= {"min_score": 0.0, "min_overlap": 0.0}
    tree["voxel_net"] |= {"num_features": 32, "num_query_channels": 16, "width": 1}
    return build_uni3d(Uni3dConfig.model_validate(tree))


@pytest.fixture
def small_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lift, "FRONT3D_GRID", SMALL_GRID)


def says(pipeline: Pipeline, class_id: int, depth_m: float) -> None:
    """Every query is surely of a class (13: nothing), and its depth is the same everywhere."""
    decoder = pipeline.panoptic.joint_decoder
    torch.nn.init.zeros_(decoder.classes.weight)
    torch.nn.init.zeros_(decoder.classes.bias)
    decoder.classes.bias.data[class_id] = 20.0
    last = decoder.depths.maps.layers[2]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)  # a product of 0: half of the depth scale
    scale = pipeline.panoptic.config.joint_decoder.model_copy(update={"depth_scale_m": 2 * depth_m})
    pipeline.panoptic.decide.config = pipeline.panoptic.config.model_copy(update={"joint_decoder": scale})


def check_scene(scene: PanopticScene) -> None:
    assert bool(scene.distance_vox.isfinite().all())
    assert 0 <= float(scene.distance_vox.min()) <= float(scene.distance_vox.max()) <= 3
    things = scene.instance > 0
    assert bool((scene.semantic[things] > 0).all())
    assert set(scene.instance[things].unique().tolist()) <= set(scene.scores)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("mode", [pytest.param("faithful", marks=SLOW), "corrected"])
@pytest.mark.parametrize(
    ("class_id", "depth_m"),
    [
        (13, 2.0),
        pytest.param(VOID, 2.0, marks=SLOW),
        pytest.param(CHAIR, 2.0, marks=SLOW),
        pytest.param(CHAIR, 50.0, marks=SLOW),
        pytest.param(CHAIR, 0.1, marks=SLOW),
    ],
)
def test_nothing_void_and_depth_beyond_and_before(small_grid: None, mode: str, class_id: int, depth_m: float) -> None:
    pipeline = small(mode)
    says(pipeline, class_id, depth_m)
    image = torch.randint(0, 256, (1, 3, 240, 320), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    (scene,) = pipeline.infer(image, (Camera.from_fov(60.0, 320, 240),))
    check_scene(scene)
    if class_id != CHAIR:
        assert not scene.segments or all(segment.class_id for segment in scene.segments)
        assert int(scene.instance.max()) == 0


@pytest.mark.parametrize(
    ("width", "height"),
    [(321, 239), *(pytest.param(w, h, marks=SLOW) for w, h in ((1, 1), (5, 2000), (1200, 300)))],
)
def test_photos_of_any_size(small_grid: None, width: int, height: int) -> None:
    pipeline = small("corrected")
    says(pipeline, CHAIR, 2.0)
    image = torch.full((1, 3, height, width), 255, dtype=torch.uint8)
    (scene,) = pipeline.infer(image, (Camera.from_fov(60.0, width, height),))
    check_scene(scene)
    assert (scene.camera.width, scene.camera.height) == (width, height)


@pytest.mark.slow
@pytest.mark.parametrize("scales", ["single", "multi"])
def test_a_batch_is_its_images(small_grid: None, scales: str) -> None:
    """The same levels whatever stands beside an image; queries of others are zeros behind its own."""
    pipeline = small("corrected", scales)
    images = torch.randint(0, 256, (2, 3, 96, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    images[1, :, :48] = 0
    cameras = (Camera.from_fov(60.0, 128, 96),) * 2
    with torch.inference_mode():
        together = pipeline(images, cameras)
        for member in range(2):
            alone = pipeline(images[member : member + 1], cameras[:1])
            for both, one in zip(together.levels, alone.levels, strict=True):
                rows = both.voxels.coords[:, 0] == member
                # Rounding of the 2D stage depends on the batch; what it decides does not.
                assert abs(int(rows.sum()) - len(one.voxels)) <= 0.02 * len(one.voxels) + 2
            assert together.instances[member].class_ids.tolist() == alone.instances[0].class_ids.tolist()


@pytest.mark.slow
def test_members_get_their_own_bits(small_grid: None) -> None:
    """The voxel net over a lifted batch, member by member."""
    from panoptic3d.models.frustum_unet.members import members_of

    pipeline = small("corrected", "multi")
    images = torch.randint(0, 256, (3, 3, 96, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    camera = Camera.from_fov(60.0, 128, 96)
    with torch.inference_mode():
        lifted = lifted_of(pipeline, images, (camera,) * 3)
        levels = pipeline.voxel_net(lifted)
        for member, own in enumerate(members_of(lifted)):
            for both, one in zip(levels, pipeline.voxel_net(own), strict=True):
                rows = both.candidates.coords[:, 0] == member
                assert torch.equal(both.occupancy_logit[rows], one.occupancy_logit)


def lifted_of(pipeline: Pipeline, images: Tensor, cameras: tuple[Camera, ...]):
    fitted = pipeline.fit(images, cameras)
    pyramid = pipeline.trunk(fitted.pixels)
    found = pipeline.panoptic(pyramid, fitted.cameras)
    return pipeline.lift(pipeline.rays(pyramid, fitted.cameras, found), found)
