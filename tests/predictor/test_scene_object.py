"""A scene in a user's hands: saved and loaded, its segments by name, its meshes, its one line, its page."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

import panoptic3d
from panoptic3d.errors import BadFileError, InputError
from panoptic3d.structures.pixel_map import DepthMap, PixelMap
from panoptic3d.structures.scene import PanopticScene, View
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy
from tests.export.tiny import CAMERA, GRID, make_tiny_scene


def full_scene() -> PanopticScene:
    """Every field that a scene can have."""
    scene = make_tiny_scene()
    depth = DepthMap(torch.rand(24, 32) + 1, PixelMap((0.5, 0.5), (-0.25, -0.25)), torch.rand(24, 32))
    assert scene.photo is not None
    return replace(
        scene,
        taxonomy=Taxonomy("own", FRONT3D_TAXONOMY.classes, ignored_ids=(3, 12)),
        class_scores={10: 0.5},
        provenance={"camera_source": "given", "checkpoint": {"name": "tiny"}, "seconds": {"load": 0.5}, "more": [1]},
        depth_map=depth,
        views=(View(CAMERA, torch.eye(4, dtype=torch.float64), scene.photo), View(CAMERA, torch.eye(4).double())),
        known=torch.rand(GRID.shape) > 0.5,
        confidence=torch.rand(GRID.shape),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scene") / "room"
    make_tiny_scene().save(folder)
    return folder


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    scene = full_scene()
    scene.save(tmp_path / "room")
    again = PanopticScene.load(tmp_path / "room")
    assert (again.camera, again.grid, again.taxonomy) == (scene.camera, scene.grid, scene.taxonomy)
    assert (again.scores, again.class_scores) == (scene.scores, scene.class_scores)
    stages = again.provenance.pop("seconds")
    assert stages["load"] == 0.5
    assert again.provenance == {name: value for name, value in scene.provenance.items() if name != "seconds"}
    for name in ("semantic", "instance", "photo", "known", "confidence"):
        assert torch.equal(getattr(again, name), getattr(scene, name)), name
    assert float((again.distance_field - scene.distance_field).abs().max()) < 0.002
    assert again.depth_map is not None
    assert scene.depth_map is not None
    assert torch.equal(again.depth_map.depth_m, scene.depth_map.depth_m)
    assert again.depth_map.from_photo == scene.depth_map.from_photo
    assert len(again.views) == 2
    assert torch.equal(again.views[0].photo, scene.photo)  # pyright: ignore[reportArgumentType]
    assert again.views[1].photo is None
    again.save(tmp_path / "again")
    thrice = PanopticScene.load(tmp_path / "again")
    assert torch.equal(thrice.distance_field, again.distance_field)


def test_a_segment_is_found_by_its_name() -> None:
    scene = make_tiny_scene()
    sofa = scene["sofa-7"]
    assert (sofa.class_name, sofa.is_thing, sofa.score) == ("sofa", True, 0.75)
    assert sofa == next(s for s in scene.segments if s.name == "sofa-7")
    assert not scene["wall"].is_thing
    with pytest.raises(KeyError, match=r"no segment 'chair-1'; it has: sofa-7, wall, floor\.$"):
        scene["chair-1"]


def test_masks_count_the_voxels_and_points_lie_in_them() -> None:
    scene = make_tiny_scene()
    for segment in scene.segments:
        assert int(segment.mask.sum()) == segment.num_voxels == len(segment.points())
        index = scene.grid.index_from_camera(segment.points()).round().long()
        assert bool(segment.mask[index[:, 0], index[:, 1], index[:, 2]].all())
    together = torch.stack([s.mask for s in scene.segments])
    assert int(together.sum(0).max()) == 1


def test_boxes_and_meshes_are_those_of_the_files(folder: Path) -> None:
    scene = make_tiny_scene()
    facts = json.loads((folder / "scene.json").read_text())
    for told in facts["segments"]:
        segment = scene[told["name"]]
        assert segment.box_m == (tuple(told["box_min_m"]), tuple(told["box_max_m"]))
        assert segment.size_m == pytest.approx(told["size_m"], abs=2e-4)
    mesh = scene["sofa-7"].mesh()
    assert mesh.faces.max() < len(mesh.vertices_m) == len(mesh.colors) == len(mesh.normals)
    low, high = scene["sofa-7"].box_m or ((0, 0, 0), (0, 0, 0))
    inside = (mesh.vertices_m > torch.tensor(low) - 0.1) & (mesh.vertices_m < torch.tensor(high) + 0.1)
    assert inside.all(dim=1).float().mean() > 0.95
    assert mesh.numpy()["vertices_m"].dtype == np.float32


def test_trimesh_has_a_geometry_a_segment() -> None:
    scene = make_tiny_scene()
    made = scene.to_trimesh()
    assert set(made.geometry) == {"sofa-7", "wall", "floor"}
    mesh = scene["floor"].mesh()
    np.testing.assert_array_equal(made.geometry["floor"].faces, mesh.faces.numpy())
    np.testing.assert_array_equal(made.geometry["floor"].visual.vertex_colors[:, :3], mesh.colors.numpy())


def test_open3d_is_missed_in_one_sentence() -> None:
    with pytest.raises(InputError, match=r"needs open3d, which is not installed; get it with: pip install open3d\.$"):
        make_tiny_scene().to_open3d()


def test_open3d_gets_a_mesh_a_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in with open3d's names: its wheel is as large as torch's."""
    vectors = SimpleNamespace(Vector3dVector=np.asarray, Vector3iVector=np.asarray)
    kind = type("TriangleMesh", (), {"__init__": lambda self, v, f: setattr(self, "vertices_and_triangles", (v, f))})
    module = ModuleType("open3d")
    vars(module).update(utility=vectors, geometry=SimpleNamespace(TriangleMesh=kind))
    monkeypatch.setitem(sys.modules, "open3d", module)
    scene = make_tiny_scene()
    made, mesh = scene.to_open3d(), scene["sofa-7"].mesh()
    assert set(made) == {"sofa-7", "wall", "floor"}
    vertices, triangles = made["sofa-7"].vertices_and_triangles
    np.testing.assert_array_equal(vertices, mesh.vertices_m.numpy())
    np.testing.assert_array_equal(triangles, mesh.faces.numpy())
    assert (vertices.dtype, triangles.dtype) == (np.float64, np.int32)
    np.testing.assert_array_equal(made["sofa-7"].vertex_normals, mesh.normals.numpy())
    np.testing.assert_array_equal(np.round(made["sofa-7"].vertex_colors * 255), mesh.colors.numpy())


def test_the_repr_is_one_line() -> None:
    scene = replace(make_tiny_scene(), provenance={"checkpoint": {"name": "tiny"}})
    assert repr(scene) == (
        "PanopticScene(1 thing, 2 stuff, 32x28x36 voxels of 10 cm, camera 64x48 at 65.2 degrees, from tiny)"
    )
    assert "\n" not in repr(scene["sofa-7"])
    assert "PanopticScene" not in repr(scene["sofa-7"])


def test_a_notebook_gets_the_page_in_a_frame_without_rights() -> None:
    told = make_tiny_scene()._repr_html_()
    assert told.startswith('<iframe sandbox="allow-scripts allow-downloads" ')
    assert told.count("<") == 2  # the page within is escaped


def test_show_opens_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    path = make_tiny_scene().show()
    assert path is not None
    assert opened == [path.as_uri()]
    assert "sofa-7" not in path.name
    assert path.read_text().startswith("<!doctype html>")


def test_arrays_of_a_scene() -> None:
    arrays = full_scene().numpy()
    assert {name: array.shape for name, array in arrays.items()} == {
        "distance_field": GRID.shape, "semantic": GRID.shape, "instance": GRID.shape, "depth": (48, 64),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"grid": {"shape": [10**6, 10**6, 3], "voxel_size_m": 1, "camera_index": [0, 0, 0]}}, "a grid of"),
        ({"grid": {"shape": [32, 28, 37], "voxel_size_m": 1, "camera_index": [0, 0, 0]}}, "shape 32x28x37"),
        ({"camera": {}}, "width"),
        ({"camera": 3}, "scene.json"),
        ({"taxonomy": "foreign", "classes": [{"id": 4}]}, "color"),
        ({"segments": [{"score": "high"}]}, "scene.json"),
        ({"views": [{"camera": None}]}, "scene.json"),
    ],
)
def test_a_broken_folder_is_refused_in_one_sentence(
    tmp_path: Path, folder: Path, change: dict[str, object], what: str
) -> None:
    facts = json.loads((folder / "scene.json").read_text())
    (tmp_path / "scene.json").write_text(json.dumps(facts | change))
    (tmp_path / "scene.npz").write_bytes((folder / "scene.npz").read_bytes())
    with pytest.raises(BadFileError, match=what):
        PanopticScene.load(tmp_path)


def test_a_folder_without_a_scene_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no scene\.json"):
        panoptic3d.load_scene(tmp_path)
