"""A scene's GLB in readers that others use: names, extras, texture, camera and variants are there."""

import base64
import json
import os
from pathlib import Path

import pytest

from tests.viewer.browser import Browser, find_chromium

_VIEWER = "@google/model-viewer"


def test_pygltflib_reads_names_extras_texture_and_camera(tiny_files: dict[str, bytes]) -> None:
    pygltflib = pytest.importorskip("pygltflib", reason="needs pygltflib, which nothing here imports")
    gltf = pygltflib.GLTF2.load_from_bytes(tiny_files["scene.glb"])
    segments = {segment["name"]: segment for segment in json.loads(tiny_files["scene.json"])["segments"]}
    nodes = {node.name: node for node in gltf.nodes if node.mesh is not None}
    assert set(nodes) == set(segments)
    for name, node in nodes.items():
        assert (node.extras["class"], node.extras["is_thing"]) == (segments[name]["class"], segments[name]["is_thing"])
    (camera,) = (gltf.cameras[node.camera] for node in gltf.nodes if node.camera is not None)
    assert camera.type == "perspective"
    (image,) = gltf.images
    view = gltf.bufferViews[image.bufferView]
    picture = gltf.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    assert picture[:2] == b"\xff\xd8" or picture[:4] == b"\x89PNG"
    assert set(gltf.extensionsRequired or []) <= {"KHR_mesh_quantization"}


@pytest.mark.slow
def test_model_viewer_shows_it(tiny_files: dict[str, bytes], tmp_path: Path) -> None:
    """Google's viewer of glTF on web pages: it loads, finds the variants, and draws more than a background."""
    chromium, modules = find_chromium(), os.environ.get("PANOPTIC3D_NODE_MODULES", "")
    script = Path(modules, _VIEWER, "dist", "model-viewer-umd.min.js")
    if chromium is None or not script.is_file():
        pytest.skip(f"needs Chromium and PANOPTIC3D_NODE_MODULES, a node_modules folder with {_VIEWER}")
    model = "data:model/gltf-binary;base64," + base64.b64encode(tiny_files["scene.glb"]).decode()
    (tmp_path / "page.html").write_text(
        f'<script src="{script.as_uri()}"></script>'
        f'<model-viewer id="v" src="{model}" style="width:400px;height:300px" reveal="auto"></model-viewer>'
    )
    with Browser(chromium, tmp_path) as browser:
        browser.open((tmp_path / "page.html").as_uri())
        browser.wait_for("document.getElementById('v')?.loaded")
        assert "lit" in browser.evaluate("v.availableVariants")
        names = browser.evaluate("v.originalGltfJson.nodes.map(node => node.name)")
        said = [segment["name"] for segment in json.loads(tiny_files["scene.json"])["segments"]]
        assert names == [*said, "photo camera"]
        assert browser.evaluate("v.model.materials.some(m => m.pbrMetallicRoughness.baseColorTexture.texture !== null)")
        assert browser.evaluate("v.toDataURL().length > 2000")
        assert (browser.errors, browser.requests) == ([], [])
