import pytest

from panoptic3d.predictor.scene_folder import scene_files
from panoptic3d.structures.scene import PanopticScene
from tests.export.tiny import make_tiny_scene


@pytest.fixture(scope="session")
def tiny_scene() -> PanopticScene:
    return make_tiny_scene()


@pytest.fixture(scope="session")
def tiny_files(tiny_scene: PanopticScene) -> dict[str, bytes]:
    return scene_files(tiny_scene, "tiny")
