"""The page of a scene of several photos: where they were taken, and what each shows."""

import base64
import gzip
import io
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eval.looks.read_glb import read_primitives
from panoptic3d.predictor.scene_folder import scene_files
from panoptic3d.structures.scene import PanopticScene, View
from tests.export.tiny import CAMERA, make_tiny_scene
from tests.viewer.browser import Browser, find_chromium

# Half a metre to the right, a bit higher and in front, turned to the left by 20 degrees.
_TURN = np.radians(-20)
_ASIDE = torch.tensor(
    [
        [np.cos(_TURN), 0, np.sin(_TURN), 0.5],
        [0, 1, 0, -0.2],
        [-np.sin(_TURN), 0, np.cos(_TURN), 0.4],
        [0, 0, 0, 1],
    ]
)


def scene_of_photos() -> PanopticScene:
    """Its second photo is the one of its own camera."""
    scene = make_tiny_scene()
    assert scene.photo is not None
    views = (View(CAMERA, _ASIDE, 255 - scene.photo), View(CAMERA, torch.eye(4).double(), scene.photo))
    sure = torch.where(scene.instance > 0, 0.9, 0.3) * (scene.distance_vox < 1.5)
    return replace(scene, views=views, confidence=sure, provenance={"fusion": {"photos": ["a</script>.jpg", "b.jpg"]}})


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return scene_files(scene_of_photos(), "tiny")


@pytest.fixture(scope="module")
def page(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("needs Chromium (chromium, chromium-browser or google-chrome on the PATH)")
    folder = tmp_path_factory.mktemp("photos")
    (folder / "index.html").write_bytes(files["index.html"])
    with Browser(chromium, folder) as browser:
        browser.open((folder / "index.html").as_uri())
        browser.wait_for("window.panoptic3d && window.panoptic3d.ready")
        yield browser


@pytest.mark.slow
def test_the_facts_name_the_photos_and_the_page_has_their_pictures(files: dict[str, bytes]) -> None:
    views = json.loads(files["scene.json"])["views"]
    assert [view["photo"] for view in views] == ["a</script>.jpg", "b.jpg"]
    found = re.search(r'<script type="application/json" id="facts">(.*?)</script>', files["index.html"].decode())
    assert found is not None
    facts = json.loads(found[1])
    assert facts["first_photo"] == 1
    picture = facts["photos"][0]["picture"].removeprefix("data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(picture))).size == (64, 48)


@pytest.mark.slow
def test_every_vertex_of_the_glb_has_its_confidence(files: dict[str, bytes], tmp_path: Path) -> None:
    packed = re.search(r'id="confidence">(.*?)</script>', files["index.html"].decode())
    assert packed is not None
    told = gzip.decompress(base64.b64decode(packed[1]))
    (tmp_path / "scene.glb").write_bytes(files["scene.glb"])
    start = 0
    for primitive in read_primitives(tmp_path / "scene.glb"):
        own = np.frombuffer(told, np.uint8)[start : start + len(primitive.vertices_m)]
        start += len(own)
        wanted = 0.9 if primitive.node == "sofa-7" else 0.3
        assert np.median(own) == round(255 * wanted)
    assert start == len(told)


@pytest.mark.slow
def test_colours_by_confidence(page: Browser) -> None:
    before = page.screenshot()
    page.evaluate("panoptic3d.colorBy('confidence')")
    time.sleep(0.3)
    assert page.screenshot() != before
    assert page.evaluate("getComputedStyle(document.getElementById('ramp')).display") == "flex"
    page.evaluate("panoptic3d.colorBy('photo')")
    assert page.errors == []


@pytest.mark.slow
def test_one_looks_through_each_photo(page: Browser) -> None:
    assert page.errors == []
    assert page.evaluate("panoptic3d.photos()") == {
        "names": ["photo 1: a</script>.jpg", "photo 2: b.jpg"],
        "shown": 1,
    }
    page.evaluate("document.querySelector('#photos button').click()")
    assert page.evaluate("panoptic3d.photos().shown") == 0
    view = page.evaluate("panoptic3d.view()")
    assert view["kind"] == "photo"
    assert np.allclose(view["position"], (0.5, 0.2, -0.4), atol=1e-6)  # glTF: y up, z backward
    ahead = np.subtract(view["target"], view["position"])
    assert np.allclose(ahead / np.linalg.norm(ahead), (np.sin(_TURN), 0, -np.cos(_TURN)), atol=1e-6)
    assert page.evaluate("[...document.querySelectorAll('#photos button')].map((b) => b.ariaPressed)") == [
        "true",
        "false",
    ]


@pytest.mark.slow
def test_a_click_on_a_photo_picks_what_its_own_camera_saw(page: Browser) -> None:
    """The same points in both photos, by the cameras alone."""
    points = {"sofa-7": (-0.02, -0.005, 1.49, 1.0), "wall": (0.9, -0.9, 2.78, 1.0)}
    for number, pose in ((0, _ASIDE.numpy()), (1, np.eye(4))):
        page.evaluate(f"panoptic3d.lookThrough({number})")
        for name, point in points.items():
            x, y, z, _ = np.linalg.inv(pose) @ np.array(point)
            across = (x / z * CAMERA.fx_px + CAMERA.cx_px + 0.5) / CAMERA.width
            down = (y / z * CAMERA.fy_px + CAMERA.cy_px + 0.5) / CAMERA.height
            assert page.evaluate(f"panoptic3d.pickInPhoto({across}, {down})") == name


@pytest.mark.slow
def test_a_click_on_a_pyramid_looks_through_its_photo(page: Browser) -> None:
    page.evaluate("panoptic3d.lookThrough(1)")
    page.evaluate("panoptic3d.look('overview')")
    found = page.evaluate(
        """(() => {
          const area = document.getElementById("view").getBoundingClientRect();
          for (let y = area.top; y < area.bottom; y += 4)
            for (let x = area.left; x < area.right; x += 4) if (panoptic3d.pickPyramid(x, y) === 0) return [x, y];
          return null;
        })()"""
    )
    assert found is not None
    page.click(*found)
    assert page.evaluate("panoptic3d.photos().shown") == 0
    assert page.evaluate("panoptic3d.view().kind") == "photo"
    page.press("v")
    assert page.evaluate("panoptic3d.photos().shown") == 1
    page.evaluate("document.getElementById('frustum').click()")
    page.evaluate("panoptic3d.look('overview')")
    assert page.evaluate(f"panoptic3d.pickPyramid({found[0]}, {found[1]})") is None
    page.evaluate("document.getElementById('frustum').click()")
