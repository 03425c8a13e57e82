"""A photo through the predictor, with ground truth of a box room in place of a network."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from panoptic3d.data.predictions import read_scene
from panoptic3d.predictor.predictor import Predictor
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import PanopticScene
from tests.export.tiny import GRID, make_tiny_scene
from tests.predictor.hostile import picture


class _Echo:
    """Answers with the tiny room, and remembers what it was asked."""

    image_size = (320, 240)

    def __init__(self) -> None:
        self.checkpoint = {"name": "echo", "sha256": "0"}
        self.asked: list[tuple[torch.Tensor, list[Camera]]] = []

    def scenes(self, images: torch.Tensor, cameras: Sequence[Camera]) -> list[PanopticScene]:
        self.asked.append((images, list(cameras)))
        return [replace(make_tiny_scene(), camera=camera, photo=None) for camera in cameras]


def test_photos_of_any_size_go_through_as_one_batch_and_keep_their_cameras(tmp_path: Path) -> None:
    paths = []
    for number, size in enumerate(((640, 480), (90, 160), (1000, 200))):
        paths.append(tmp_path / f"{number}.png")
        picture(*size).save(paths[-1])
    network = _Echo()
    scenes = Predictor(network).batch(paths, fov_deg=55.0)
    assert [tuple(images.shape) for images, _ in network.asked] == [(3, 3, 240, 320)]
    for scene, size, seen in zip(scenes, ((640, 480), (90, 160), (1000, 200)), network.asked[0][1], strict=True):
        assert (scene.camera.width, scene.camera.height) == size
        assert scene.camera.horizontal_fov_deg == pytest.approx(55)
        assert (seen.width, seen.height) == (320, 240)
        assert scene.provenance["camera_source"] == "given field of view"
    alone = Predictor(_Echo())(paths[1], fov_deg=55.0)
    assert torch.equal(alone.photo, scenes[1].photo)


def test_a_saved_prediction_holds_the_contract_and_says_where_its_camera_is_from(tmp_path: Path) -> None:
    picture(320, 240).save(tmp_path / "my room.png")
    scene = Predictor(_Echo())(tmp_path / "my room.png")
    scene.save(tmp_path / "out" / "my room")
    folder = tmp_path / "out" / "my room"
    assert {p.name for p in folder.iterdir()} == {"scene.npz", "scene.glb", "scene.json", "preview.png", "index.html"}
    facts = json.loads((folder / "scene.json").read_text())
    assert facts["camera_source"].startswith("assumed: 60 degrees")
    assert facts["checkpoint"] == {"name": "echo", "sha256": "0"}
    assert set(facts["seconds"]) == {"load", "network"}
    assert [s["name"] for s in facts["segments"]] == ["sofa-7", "wall", "floor"]
    assert facts["camera_source"] in (folder / "index.html").read_text()
    read = read_scene(folder / "scene.npz", scene.camera, GRID)
    assert torch.equal(read.semantic, scene.semantic)
    assert torch.equal(read.instance, scene.instance)
    with Image.open(folder / "preview.png") as preview:
        assert preview.width > 1000
