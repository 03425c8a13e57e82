"""A photo through the predictor, with ground truth of a box room in place of a network."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from panoptic3d.data.predictions import read_scene
from panoptic3d.errors import InputError
from panoptic3d.predictor.cameras import GivenCamera
from panoptic3d.predictor.predictor import Predictor
from panoptic3d.structures.camera import Camera
from tests.export.tiny import GRID
from tests.predictor.echo import Echo
from tests.predictor.hostile import picture


def test_photos_of_any_size_go_through_as_one_batch_and_keep_their_cameras(tmp_path: Path) -> None:
    paths = []
    for number, size in enumerate(((640, 480), (90, 160), (1000, 200))):
        paths.append(tmp_path / f"{number}.png")
        picture(*size).save(paths[-1])
    network = Echo()
    scenes = Predictor(network=network).batch(paths, GivenCamera(fov_deg=55.0))
    assert [tuple(images.shape) for images, _ in network.asked] == [(3, 3, 240, 320)]
    for scene, size, seen in zip(scenes, ((640, 480), (90, 160), (1000, 200)), network.asked[0][1], strict=True):
        assert (scene.camera.width, scene.camera.height) == size
        assert scene.camera.horizontal_fov_deg == pytest.approx(55)
        assert (seen.width, seen.height) == (320, 240)
        assert scene.provenance["camera_source"] == "given field of view"
    alone = Predictor(network=Echo())(paths[1], fov_deg=55.0)
    assert torch.equal(alone.photo, scenes[1].photo)


def test_a_saved_prediction_holds_the_contract_and_says_where_its_camera_is_from(tmp_path: Path) -> None:
    picture(320, 240).save(tmp_path / "my room.png")
    scene = Predictor(network=Echo())(tmp_path / "my room.png")
    scene.save(tmp_path / "out" / "my room")
    folder = tmp_path / "out" / "my room"
    assert {p.name for p in folder.iterdir()} == {"scene.npz", "scene.glb", "scene.json", "preview.png", "index.html"}
    facts = json.loads((folder / "scene.json").read_text())
    assert facts["camera_source"].startswith("assumed: 60 degrees")
    assert facts["checkpoint"] == {"name": "echo", "sha256": "0"}
    stages = {"load", "meshes and colours", "npz", "glb", "preview", "preview.png", "page"}
    assert set(facts["seconds"]) == stages
    assert [s["name"] for s in facts["segments"]] == ["sofa-7", "wall", "floor"]
    assert facts["camera_source"] in (folder / "index.html").read_text()
    read = read_scene(folder / "scene.npz", scene.camera, GRID)
    assert torch.equal(read.semantic, scene.semantic)
    assert torch.equal(read.instance, scene.instance)
    with Image.open(folder / "preview.png") as preview:
        assert preview.width > 1000


def test_what_a_network_makes_up_beside_the_photo_is_taken_away(tmp_path: Path) -> None:
    """A wide strip: above and below it the network sees the mean colour."""
    picture(320, 80).save(tmp_path / "wide.png")
    scene = Predictor(network=Echo())(tmp_path / "wide.png", fov_deg=60.0)
    near = (scene.distance_vox < 3).nonzero()
    _, y, z = scene.grid.camera_from_index(near.double()).unbind(1)
    v = y / z * scene.camera.fy_px + scene.camera.cy_px
    assert len(near) > 100
    assert bool(((v >= -0.5) & (v <= 79.5)).all())
    assert bool((scene.semantic[scene.distance_vox >= 3] == 0).all())


def test_a_given_camera_may_have_another_size_but_no_other_shape(tmp_path: Path) -> None:
    picture(640, 480).save(tmp_path / "a.png")
    predictor = Predictor(network=Echo())
    scene = predictor(tmp_path / "a.png", Camera.from_fov(70.0, 320, 240))
    assert scene.camera == Camera.from_fov(70.0, 640, 480)
    assert scene.provenance["camera_source"] == "given camera"
    with pytest.raises(InputError, match="240x320 for a photo of 640x480"):
        predictor(tmp_path / "a.png", Camera.from_fov(70.0, 240, 320))


def test_pictures_in_memory_are_photos_too() -> None:
    predictor = Predictor(network=Echo())
    scene = predictor(picture(320, 240))
    assert torch.equal(predictor(np.asarray(picture(320, 240))).photo, scene.photo)
    assert scene.provenance["photo"]["file"] is None


def test_tta_is_never_ignored_in_silence() -> None:
    with pytest.raises(InputError, match="tta is of a checkpoint"):
        Predictor(network=Echo(), tta=True)
    assert Predictor.from_pretrained("tiny", device="cpu", tta=True).tta
