"""Furniture made by others: sizes, fronts, licences and faults survive the way into a library."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from panoptic3d.cli import main
from panoptic3d.errors import BadFileError, InputError
from panoptic3d.rooms.assets.importer import CLASS_OF_ROLE, import_assets
from panoptic3d.rooms.assets.library import open_library
from panoptic3d.rooms.assets.licences import UNKNOWN, is_allowed, licence_id
from panoptic3d.rooms.assets.mending import BrokenMeshError, cleaned, decimated, posed
from panoptic3d.rooms.assets.raw import RawMaterial, RawMesh
from panoptic3d.rooms.checks import check_room
from panoptic3d.rooms.furniture import ROLES, build
from panoptic3d.rooms.furniture.assemble import snapped
from panoptic3d.rooms.layout import LayoutConfig, make_room
from panoptic3d.rooms.meshes.shapes import ball, box, joined
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, TABLE

# A table of one board in y up, its front (+z) marked by a fin.
_BOARD = [(x, y, z) for y in (0.0, 1.0) for z in (-1.0, 1.0) for x in (-2.0, 2.0)]
_FACES = ((1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4))


def _obj(path: Path) -> None:
    lines = ["mtllib t.mtl", "usemtl wood", *(f"v {x} {y} {z}" for x, y, z in _BOARD)]
    lines += [f"f {' '.join(map(str, face))}" for face in _FACES]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    (path.parent / "t.mtl").write_text("newmtl wood\nKd 0.5 0.25 0.1\n")


def _package(tmp_path: Path, licence: str) -> Path:
    """As Sweet Home 3D writes them; the stem and the model are ones of our role table."""
    _obj(tmp_path / "in" / "scopia" / "coffee_table" / "coffee_table.obj")
    (tmp_path / "in" / "PluginFurnitureCatalog.properties").write_text(
        f"license={licence}\nname#1=Table\nmodel#1=/scopia/coffee_table/coffee_table.obj\n"
        "width#1=120\ndepth#1=60\nheight#1=40\ndropOnTopElevation#1=40\ncreator#1=A. Maker\n"
        "name#2=Bath\nmodel#2=/scopia/bath/bath.obj\nwidth#2=1\ndepth#2=1\nheight#2=1\n"
    )
    package = tmp_path / "Scopia.sh3f"
    with zipfile.ZipFile(package, "w") as archive:
        for file in sorted((tmp_path / "in").rglob("*.*")):
            archive.write(file, file.relative_to(tmp_path / "in"))
    return package


def test_a_package_becomes_a_library(tmp_path: Path) -> None:
    out = tmp_path / "library"
    report = import_assets(_package(tmp_path, "Creative Commons Attribution 3.0 Unported license"), out)
    assert report.num_by_role == {"coffee-table": 1}
    assert report.left_out == [("Scopia-bath", "its kind has no role in our rooms")]
    model = open_library(out).draw("coffee-table", np.random.default_rng(0))
    assert model is not None
    assert model.size_m == pytest.approx((1.2, 0.6, 0.4), abs=1e-4)
    assert (model.class_id, model.licence, model.author) == (TABLE, "CC-BY-3.0", "A. Maker")
    assert model.mesh.vertices_m[:, 2].min() == 0
    assert model.tops[0][0] == pytest.approx(0.4, abs=1e-3)
    assert "| A. Maker | CC-BY-3.0 | Scopia |" in (out / "LICENCES.md").read_text()
    assert open_library(out).draw("sofa", np.random.default_rng(0)) is None


def test_what_a_licence_forbids_is_left_out_and_named(tmp_path: Path) -> None:
    package = _package(tmp_path, "Attribution-NonCommercial 4.0")
    with pytest.raises(InputError, match="non-commercial"):
        import_assets(package, tmp_path / "out")
    assert len(import_assets(package, tmp_path / "out", ["non-commercial"]).entries) == 1


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("Public domain", "CC0-1.0"),
        ("Creative Commons Zero", "CC0-1.0"),
        ("Creative Commons Attribution 3.0 license", "CC-BY-3.0"),
        ("Creative Commons Attribution 3.0 United States license  Copyright", "CC-BY-3.0-US"),
        ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("CC BY-NC 4.0", "non-commercial"),
        ("CC BY-NC-ND 4.0", "non-commercial"),
        ("Attribution-NoDerivs 3.0", "no-derivatives"),
        ("all mine", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_licences_are_recognized(text: str, licence: str) -> None:
    assert licence_id(text) == licence
    assert is_allowed(licence) == (licence not in ("non-commercial", "no-derivatives", UNKNOWN))


def test_a_folder_with_a_table_and_its_faults(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "mine"
    _obj(source / "desk.obj")
    (source / "empty.obj").write_text("v 0 0 0\n")
    (source / "latin.obj").write_bytes(b"# caf\xe9\n" + (source / "desk.obj").read_bytes())
    (source / "models.csv").write_text(
        "file,role,licence,author,width_m,depth_m,height_m\n"
        "desk.obj,desk,CC0-1.0,Ada,1.4,0.7,0.74\n"
        "empty.obj,desk,CC0-1.0,Ada,,,\n"
        "latin.obj,desk,CC0-1.0,Ada,1.4,0.7,0.74\n"
        "desk.obj,desk,CC0-1.0,Ada,wide,0.7,0.74\n"
        "desk.obj,desk\n"
        "../../desk.obj,desk,CC0-1.0,Ada,,,\n"
        "gone.obj,desk,CC0-1.0,Ada,,,\n"
        "desk.obj,throne,CC0-1.0,Ada,,,\n"
        "desk.obj,sofa,CC0-1.0,Ada,9.4,0.9,0.1\n"
    )
    assert main(["data", "assets", str(source), "--out", str(tmp_path / "lib")]) == 0
    said = capfd.readouterr()
    assert said.out.startswith("2 models (2 desk); 7 left out")
    for reason in ("no triangles", "not there", "throne", "proportions"):
        assert reason in said.err


def test_a_3d_future_folder_is_refused_by_default(tmp_path: Path) -> None:
    (tmp_path / "model_info.json").write_text(
        json.dumps([{"model_id": "a1", "category": "Dining Table"}, {"model_id": "b2", "category": None}])
    )
    _obj(tmp_path / "a1" / "raw_model.obj")
    with pytest.raises(InputError, match="non-commercial"):
        import_assets(tmp_path, tmp_path / "out")
    report = import_assets(tmp_path, tmp_path / "out", ["non-commercial"])
    assert [entry["role"] for entry in report.entries] == ["dining-table"]
    assert report.entries[0]["size_m"] == [4.0, 2.0, 1.0]


def test_a_folder_of_nothing_and_a_library_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"models\.csv"):
        import_assets(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="data assets"):
        open_library(tmp_path)
    (tmp_path / "library.json").write_text("{")
    with pytest.raises(BadFileError):
        open_library(tmp_path)


def _raw(vertices: np.ndarray, triangles: np.ndarray) -> RawMesh:
    count = len(triangles)
    return RawMesh(
        vertices,
        triangles.astype(np.int32),
        np.zeros((count, 3, 2)),
        np.zeros(count, dtype=np.int32),
        (RawMaterial((0.5, 0.5, 0.5)),),
    )


def test_broken_triangles_go_and_the_rest_stays() -> None:
    shape = box(1, 1, 1)
    vertices = np.concatenate([shape.vertices_m, [[np.nan, 0, 0], [9, 9, 9]]])
    bad = np.array([[0, 0, 1], [0, 1, 8], [0, 1, 70], shape.triangles[3][[1, 2, 0]]])
    mended = cleaned(_raw(vertices, np.concatenate([shape.triangles, bad])))
    assert len(mended.triangles) == 12
    assert len(mended.vertices) == 8
    with pytest.raises(BrokenMeshError):
        cleaned(_raw(np.zeros((3, 3)), np.array([[0, 1, 2]])))


def test_decimation_keeps_the_size_and_the_bound() -> None:
    shape = joined([ball(0.5, segments=40), box(0.3, 0.3, 1.2, (0.9, 0, -0.5))])
    raw = _raw(shape.vertices_m, shape.triangles)
    for most in (1500, 300):
        small = decimated(raw, most)
        assert len(small.triangles) <= most
        np.testing.assert_allclose(np.ptp(small.vertices, axis=0), np.ptp(raw.vertices, axis=0), rtol=0.2)


def test_fronts_turn_to_minus_y() -> None:
    raw = _raw(np.array([[0.0, 0, 0], [1, 0, 0], [0.5, 0, 2.0], [0.5, 1.0, 2.0]]), np.array([[0, 1, 2], [2, 3, 0]]))
    turned = posed(raw, np.array([(1.0, 0, 0), (0, 0, -1.0), (0, 1.0, 0)]), None, 1.0)
    assert turned.vertices[3, 1] == turned.vertices[:, 1].min()  # +z was the front
    assert turned.vertices[3, 2] == turned.vertices[:, 2].max()  # and y was up


@pytest.mark.slow
def test_rooms_use_a_library(tmp_path: Path) -> None:
    """Our own models, sent through a library, furnish a sound room again."""
    from panoptic3d.rooms.assets.library import pack_levels, write_index

    (tmp_path / "models").mkdir()
    entries = []
    for role in ("sofa", "coffee-table", "floor-plant"):
        model = build(role, np.random.default_rng(3))
        data, facts = pack_levels([model.mesh])
        (tmp_path / f"models/{role}.p3dm").write_bytes(data)
        plain = {
            "color": [0.5, 0.4, 0.3],
            "roughness": 0.5,
            "metallic": 0.0,
            "transmission": 0.0,
            "file": "",
            "scale_m": 1.0,
        }
        fields = {
            "name": f"foreign-{role}",
            "role": role,
            "class": CLASS_OF_ROLE[role],
            "licence": "CC0-1.0",
            "author": "Ada",
            "levels": facts,
        }
        entries.append(
            fields
            | {"file": f"models/{role}.p3dm", "tops": list(model.tops), "materials": [plain] * len(model.materials)}
        )
    write_index(tmp_path, entries)
    read = open_library(tmp_path).read(entries[0])
    np.testing.assert_allclose(
        read.mesh.vertices_m, snapped(build("sofa", np.random.default_rng(3)).mesh.vertices_m), atol=1e-4
    )
    options = LayoutConfig(room_type="living", library=str(tmp_path), library_share=1.0, num_views=2)
    scene = make_room(11, options)
    assert any(part.name.startswith("foreign-") for part in scene.parts)
    assert check_room(scene) == []


@pytest.mark.slow
def test_every_role_of_a_thing_has_a_class() -> None:
    assert set(CLASS_OF_ROLE) == set(ROLES) - {"curtain", "window", "door"}
    for role, name in CLASS_OF_ROLE.items():
        assert FRONT3D_TAXONOMY[build(role, np.random.default_rng(0)).class_id].name == name
