"""The Python lines of the contract, one by one, on a bundled photo with the shipped network; and what a type checker sees."""

import doctest
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import panoptic3d

_LINES = """
import panoptic3d
scene = panoptic3d.predict("room.jpg")
scene.segments; scene.distance_field; scene.semantic; scene.instance; scene.depth; scene.camera
chair = scene[scene.segments[0].name]
chair.class_name; chair.is_thing; chair.score; chair.box_m; chair.size_m; chair.num_voxels; chair.mesh(); chair.points()
scene.save("out/room"); scene.to_glb("room.glb"); scene.to_trimesh(); scene.show()
again = panoptic3d.PanopticScene.load("out/room")
predictor = panoptic3d.Predictor.from_pretrained("tiny")
scenes = predictor(["a.jpg", "b.jpg"], cameras=[None, panoptic3d.Camera.from_fov(70, width=4000, height=3000)])
poses = [torch.eye(4, dtype=torch.float64)] * 2
room = panoptic3d.fuse(scenes, world_from_camera=poses)
room.save("out/fused"); fused = panoptic3d.PanopticScene.load("out/fused")
from panoptic3d.metrics import PanopticReconstructionQuality
"""
# name of an expression in a user's script -> the type that a checker must show
_TYPES = {
    'panoptic3d.predict("a.jpg")': "PanopticScene",
    'panoptic3d.Predictor.from_pretrained("tiny")': "Predictor",
    'panoptic3d.Predictor()("a.jpg")': "PanopticScene",
    'panoptic3d.Predictor()(["a.jpg", b""])': "list[PanopticScene]",
    'panoptic3d.PanopticScene.load("a")': "PanopticScene",
    "scene.segments": "Sequence[Segment]",
    'scene["chair-3"]': "Segment",
    'scene["chair-3"].mesh()': "SurfaceMesh",
    'scene["chair-3"].class_name': "str",
    'scene["chair-3"].score': "float | None",
    'scene["chair-3"].box_m': "tuple[tuple[float, float, float], tuple[float, float, float]] | None",
    "scene.distance_field": "Tensor",
    "scene.semantic": "Tensor",
    "scene.instance": "Tensor",
    "scene.depth": "Tensor | None",
    'scene["chair-3"].is_thing': "bool",
    'scene["chair-3"].size_m': "tuple[float, float, float] | None",
    'scene["chair-3"].num_voxels': "int",
    'scene["chair-3"].points()': "Tensor",
    'scene.save("a")': "None",
    'scene.to_glb("a.glb")': "None",
    'panoptic3d.fuse(panoptic3d.Predictor()(["a.jpg"]), world_from_camera=[])': "PanopticScene",
    "PanopticReconstructionQuality().compute()": "dict[str, Tensor]",
    "scene.camera": "Camera",
    "scene.grid": "VoxelGrid",
    "scene.show()": "Path | None",
    "scene.to_trimesh()": "Scene",
    "scene.numpy()": "dict[str, ndarray[tuple[Any, ...], dtype[Any]]]",
    "panoptic3d.Camera.from_fov(60, 4, 3)": "Camera",
}


@pytest.mark.slow
def test_every_line_of_the_contract_runs(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = repository / "data" / "photos"
    shutil.copy(photos / "bedroom.jpg", tmp_path / "room.jpg")
    shutil.copy(photos / "bedside.jpg", tmp_path / "a.jpg")
    shutil.copy(photos / "dining.jpg", tmp_path / "b.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    with_camera = tmp_path / "b.jpg"
    names: dict[str, object] = {"torch": torch}
    width, height = panoptic3d.predict(with_camera).photo.shape[:0:-1]  # pyright: ignore[reportOptionalMemberAccess]
    is_four_to_three = abs(width / 4000 - height / 3000) * height <= 1
    for line in _LINES.strip().splitlines():
        if not is_four_to_three:
            line = line.replace("width=4000, height=3000", f"width={width * 3}, height={height * 3}")
        exec(line, names)
    scene, again, chair, scenes = names["scene"], names["again"], names["chair"], names["scenes"]
    assert isinstance(scene, panoptic3d.PanopticScene)
    assert isinstance(again, panoptic3d.PanopticScene)
    assert isinstance(chair, panoptic3d.Segment)
    assert isinstance(scenes, list)
    assert chair.is_thing
    assert chair.box_m is not None
    told = json.loads((tmp_path / "out" / "room" / "scene.json").read_text())
    assert list(chair.box_m[0]) == next(s for s in told["segments"] if s["name"] == chair.name)["box_min_m"]
    assert (again.camera, again.grid, again.scores) == (scene.camera, scene.grid, scene.scores)
    assert torch.equal(again.photo, scene.photo)  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(again.depth, scene.depth)  # pyright: ignore[reportArgumentType]
    assert (tmp_path / "room.glb").read_bytes()[:4] == b"glTF"
    assert [one.provenance["camera_source"] for one in scenes][1] == "given camera"
    assert len(repr(scene)) < 200
    room, fused = names["room"], names["fused"]
    assert isinstance(room, panoptic3d.PanopticScene)
    assert isinstance(fused, panoptic3d.PanopticScene)
    assert [view.camera for view in fused.views] == [view.camera for view in room.views]
    assert torch.equal(fused.known, room.known)  # pyright: ignore[reportArgumentType]
    assert torch.equal(fused.semantic, room.semantic)


@pytest.mark.slow
def test_a_type_checker_sees_no_any(tmp_path: Path, repository: Path) -> None:
    script = "import panoptic3d\nfrom panoptic3d.metrics import PanopticReconstructionQuality\n"
    script += 'scene = panoptic3d.predict("a.jpg")\n'
    script += "".join(f"reveal_type({expression})\n" for expression in _TYPES)
    script += "reveal_type(PanopticReconstructionQuality())\n"
    (tmp_path / "user.py").write_text(script)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(repository)]}))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ)
    told = [d["message"] for d in json.loads(done.stdout)["generalDiagnostics"] if d["severity"] == "information"]
    seen = [message.rpartition(" is ")[2].strip('"') for message in told]
    assert seen == [*_TYPES.values(), "PanopticReconstructionQuality"]


@pytest.mark.parametrize(
    "module",
    ["structures.camera", "structures.scene", "structures.surface_mesh", "predictor.predictor"],
)
def test_examples_in_docstrings_run(module: str, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    result = doctest.testmod(importlib.import_module(f"panoptic3d.{module}"), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0
