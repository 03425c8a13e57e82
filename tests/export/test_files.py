"""The files of a scene, read back by readers that are not ours."""

import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
import trimesh

from eval.looks.read_glb import read_primitives
from panoptic3d import files
from panoptic3d.errors import InputError, MissingPartError
from panoptic3d.export.folder import recover_scenes, write_folder_atomically
from panoptic3d.export.gltf import gltf_from_camera, linear_from_srgb
from panoptic3d.structures.scene import PanopticScene


def _glb_json(data: bytes) -> dict:
    magic, version, length = struct.unpack_from("<III", data)
    assert (magic, version, length) == (0x46546C67, 2, len(data))
    size, kind = struct.unpack_from("<II", data, 12)
    assert kind == 0x4E4F534A
    return json.loads(data[20 : 20 + size])


def test_the_glb_reloads_with_every_named_node_and_its_extras(tiny_files: dict[str, bytes]) -> None:
    facts = json.loads(tiny_files["scene.json"])
    names = [segment["name"] for segment in facts["segments"]]
    document = _glb_json(tiny_files["scene.glb"])
    *nodes, camera = document["nodes"]
    assert [node["name"] for node in nodes] == names
    assert camera == {"name": "photo camera", "camera": 0}
    for node, segment in zip(nodes, facts["segments"], strict=True):
        assert {key: node["extras"][key] for key in ("id", "class", "is_thing", "score")} == {
            key: segment[key] for key in ("id", "class", "is_thing", "score")
        }


def test_another_reader_finds_every_segment_with_the_photo_on_what_it_shows(tiny_files: dict[str, bytes]) -> None:
    loaded = trimesh.load_scene(io.BytesIO(tiny_files["scene.glb"]), file_type="glb")
    textured = [g for g in loaded.geometry.values() if getattr(g.visual, "uv", None) is not None]
    assert len(textured) == 3
    for geometry in textured:
        assert geometry.visual.material.baseColorTexture.size == (64, 48)
        assert geometry.visual.uv.min() >= 0
        assert geometry.visual.uv.max() <= 1


def test_boxes_lie_around_the_meshes_in_their_own_frame(tiny_files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "scene.glb").write_bytes(tiny_files["scene.glb"])
    for primitive in read_primitives(tmp_path / "scene.glb"):
        low, high = np.array(primitive.extras["box_min_m"]), np.array(primitive.extras["box_max_m"])
        assert (low <= high).all()
        points = primitive.vertices_m * np.array([1, -1, -1])  # the reader gives the camera's frame
        assert (points > low - 0.2).all()  # two voxels: what the photo shows follows its depth
        assert (points < high + 0.2).all()


def test_numbers_are_quantised_and_lie_in_their_views(tiny_files: dict[str, bytes]) -> None:
    data = tiny_files["scene.glb"]
    document = _glb_json(data)
    start = 20 + struct.unpack_from("<I", data, 12)[0] + 8
    assert document["extensionsRequired"] == ["KHR_mesh_quantization"]
    poses = {(tuple(n["translation"]), tuple(n["scale"])) for n in document["nodes"] if "mesh" in n}
    assert len(poses) == 1  # segments that touch keep touching
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= document["buffers"][0]["byteLength"]
    for mesh in document["meshes"]:
        for primitive in mesh["primitives"]:
            is_photo = document["materials"][primitive["material"]]["name"] == "photo"
            assert set(primitive["attributes"]) == {"POSITION", "NORMAL", "TEXCOORD_0" if is_photo else "COLOR_0"}
            index = document["accessors"][primitive["indices"]]
            view = document["bufferViews"][index["bufferView"]]
            indices = np.frombuffer(data, "<u2", index["count"], start + view["byteOffset"])
            assert indices.max() == document["accessors"][primitive["attributes"]["POSITION"]]["count"] - 1


def test_the_khronos_validator_finds_nothing(tiny_files: dict[str, bytes], tmp_path: Path) -> None:
    modules = os.environ.get("PANOPTIC3D_NODE_MODULES", "")
    if shutil.which("node") is None or not Path(modules, "gltf-validator").is_dir():
        pytest.skip("needs node and PANOPTIC3D_NODE_MODULES, a node_modules folder with gltf-validator")
    (tmp_path / "scene.glb").write_bytes(tiny_files["scene.glb"])
    script = (
        f"require({json.dumps(str(Path(modules, 'gltf-validator')))})"
        ".validateBytes(new Uint8Array(require('fs').readFileSync('scene.glb')))"
        ".then(report => console.log(JSON.stringify(report.issues)))"
    )
    result = subprocess.run(["node", "-e", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    issues = json.loads(result.stdout)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def test_up_is_up_and_metres_are_metres(tiny_files: dict[str, bytes], tmp_path: Path) -> None:
    """The floor of the tiny room lies below its box, the wall behind it (camera frame: y down, z forward)."""
    (tmp_path / "scene.glb").write_bytes(tiny_files["scene.glb"])
    points: dict[str, list[np.ndarray]] = {}
    for primitive in read_primitives(tmp_path / "scene.glb"):
        points.setdefault(primitive.node, []).append(primitive.vertices_m)
    box, wall, floor = (np.concatenate(points[name]) for name in ("sofa-7", "wall", "floor"))
    assert np.median(floor[:, 1]) > box[:, 1].max() - 0.1
    assert np.median(wall[:, 2]) > box[:, 2].max()
    facts = {s["name"]: s for s in json.loads(tiny_files["scene.json"])["segments"]}
    np.testing.assert_allclose(facts["sofa-7"]["size_m"], [0.8, 0.6, 0.6], atol=0.1)  # within a voxel of 0.1 m
    np.testing.assert_allclose(np.ptp(box, axis=0), [0.8, 0.6, 0.6], atol=0.2)


def test_half_a_turn_and_the_colour_curve() -> None:
    assert gltf_from_camera(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[1.0, -2.0, -3.0]]
    assert gltf_from_camera(gltf_from_camera(torch.eye(3))).equal(torch.eye(3))
    values = linear_from_srgb(torch.tensor([0, 10, 128, 255], dtype=torch.uint8))
    torch.testing.assert_close(values, torch.tensor([0.0, 0.0030353, 0.2158605, 1.0]))


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb"])
def test_ply_obj_and_glb_hold_the_same_surface(tiny_scene, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"room.{suffix}"
    tiny_scene.to_glb(path)
    loaded = trimesh.load_scene(path, process=False)
    tiny_scene.to_glb(tmp_path / "again.glb")
    expected = trimesh.load_scene(tmp_path / "again.glb", process=False)
    assert sum(len(g.faces) for g in loaded.geometry.values()) == sum(len(g.faces) for g in expected.geometry.values())
    turned = 1 if suffix == "glb" else -1
    np.testing.assert_allclose(loaded.extents, expected.extents, atol=1e-3)
    assert loaded.bounds.mean(0)[2] * turned == pytest.approx(expected.bounds.mean(0)[2], abs=1e-3)


def test_a_wrong_ending_and_a_missing_folder_are_named(tiny_scene, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.stl"):
        tiny_scene.to_glb(tmp_path / "room.stl")
    with pytest.raises(InputError, match="cannot be written"):
        tiny_scene.to_glb(tmp_path / "no" / "room.glb")


def test_an_empty_scene_is_saved_whole(tiny_scene, tmp_path: Path) -> None:
    empty = replace(
        tiny_scene,
        distance_vox=torch.full_like(tiny_scene.distance_vox, 3.0),
        semantic=torch.zeros_like(tiny_scene.semantic),
        instance=torch.zeros_like(tiny_scene.instance),
    )
    empty.save(tmp_path / "empty")
    assert json.loads((tmp_path / "empty" / "scene.json").read_text())["segments"] == []
    assert [node["name"] for node in _glb_json((tmp_path / "empty" / "scene.glb").read_bytes())["nodes"]] == [
        "photo camera"
    ]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"scene.json": b'{"format_version": 1}'}
    write_folder_atomically(tmp_path / "a b 🪑", {"scene.npz": b"1", **facts})
    with pytest.raises(InputError, match="is there already"):
        write_folder_atomically(tmp_path / "a b 🪑", {"scene.npz": b"2"})
    write_folder_atomically(tmp_path / "a b 🪑", {"scene.glb": b"2", **facts}, overwrite=True)
    assert sorted(p.name for p in (tmp_path / "a b 🪑").iterdir()) == ["scene.glb", "scene.json"]

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for name, overwrite in (("new", False), ("a b 🪑", True)):
        with pytest.raises(InputError, match="No space left") as caught:
            write_folder_atomically(tmp_path / name, {"scene.npz": b"3"}, overwrite=overwrite)
        assert caught.value.exit_code == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a b 🪑"]
    assert (tmp_path / "a b 🪑" / "scene.glb").read_bytes() == b"2"


def _a_scene(folder: Path, **further: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in {"scene.json": '{"format_version": 1}', "index.html": "<html>", **further}.items():
        (folder / name).write_text(text)
    return folder


def _make_nothing(folder: Path) -> None:
    folder.mkdir()


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("a thesis", lambda f: _a_scene(f, **{"thesis.tex": "years"}), "thesis.tex"),
        ("a scene below", lambda f: _a_scene(_a_scene(f) / "b"), "'b'"),
        ("no scene.json", lambda f: (_a_scene(f) / "scene.json").unlink(), "scene.json"),
        ("foreign json", lambda f: _a_scene(f, **{"scene.json": "[1]"}), "no JSON object"),
        ("json of others", lambda f: _a_scene(f, **{"scene.json": "{}"}), "not written by"),
        ("deep json", lambda f: _a_scene(f, **{"scene.json": "[" * 100_000}), "scene.json"),
        ("a link in it", lambda f: (_a_scene(f) / "preview.png").symlink_to("/etc/passwd"), "preview.png"),
        ("a pipe", lambda f: os.mkfifo(_a_scene(f) / "scene.glb"), "scene.glb"),
        ("a file", lambda f: f.write_text("mine"), "no folder"),
        ("a link", lambda f: f.symlink_to(_a_scene(f.with_name("elsewhere"))), "it is a link"),
    ],
)
def test_only_a_scene_is_ever_replaced(
    name: str, make: Callable[[Path], object], said: str, tmp_path: Path, tiny_files: dict[str, bytes]
) -> None:
    make(tmp_path / name)
    before = _listing(tmp_path)
    with pytest.raises(InputError, match=re.escape(said)):
        write_folder_atomically(tmp_path / name, tiny_files, overwrite=True)
    assert _listing(tmp_path) == before


@pytest.mark.parametrize("make", [_make_nothing, _a_scene, lambda f: _a_scene(f, **{".DS_Store": "x"})])
def test_a_scene_and_an_empty_folder_are_replaced(
    make: Callable[[Path], object], tmp_path: Path, tiny_files: dict[str, bytes]
) -> None:
    make(tmp_path / "a")
    write_folder_atomically(tmp_path / "a", tiny_files, overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == tiny_files
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("killed_at", range(1, 7))
def test_a_kill_at_any_call_loses_nothing_and_the_next_run_completes(
    can_exchange: bool, killed_at: int, tmp_path: Path
) -> None:
    scene = _a_scene(tmp_path / "a")
    if (child := os.fork()) == 0:
        _overwrite_and_die(scene, killed_at, can_exchange)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in (0, 9)
    recover_scenes(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert sorted(path.name for path in scene.iterdir()) in (["index.html", "scene.json"], ["scene.json"])
    write_folder_atomically(scene, {"scene.json": b'{"format_version": 3}'}, overwrite=True)
    assert [path.name for path in scene.iterdir()] == ["scene.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def _overwrite_and_die(scene: Path, killed_at: int, can_exchange: bool) -> NoReturn:
    """In a process of its own, which dies at its n-th rename, exchange or unlink, if there are so many."""
    left = killed_at

    def counted(call: Callable) -> Callable:
        def run(*arguments: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                os._exit(9)
            return call(*arguments)

        return run

    os.rename, os.unlink = counted(os.rename), counted(os.unlink)  # pyright: ignore
    files.exchange = counted(files.exchange if can_exchange else lambda *names: False)
    try:
        write_folder_atomically(scene, {"scene.json": b'{"format_version": 2}'}, overwrite=True)
    finally:
        os._exit(0)


def _listing(folder: Path) -> dict[str, object]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


def test_usd_holds_the_same_segments(tiny_scene: PanopticScene, tmp_path: Path) -> None:
    pytest.importorskip("pxr", reason="needs usd-core")
    from pxr import Usd, UsdGeom  # pyright: ignore[reportMissingImports]

    tiny_scene.to_glb(tmp_path / "room.usdc")
    stage = Usd.Stage.Open(str(tmp_path / "room.usdc"))
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    meshes = {p.GetCustomDataByKey("panoptic3d:name"): UsdGeom.Mesh(p) for p in stage.Traverse() if p.IsA(UsdGeom.Mesh)}
    assert list(meshes) == ["sofa-7", "wall", "floor"]
    low, high = meshes["sofa-7"].ComputeExtent(meshes["sofa-7"].GetPointsAttr().Get())
    assert high[0] - low[0] == pytest.approx(0.8, abs=0.1)  # metres
    assert high[2] < 0  # in front of a camera that looks along -z


def test_usd_without_its_package_is_one_sentence(
    tiny_scene: PanopticScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(MissingPartError, match="writing USD needs pxr"):
        tiny_scene.to_glb(tmp_path / "room.usda")
    assert not (tmp_path / "room.usda").exists()
