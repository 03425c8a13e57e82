"""Cameras from files: one for all, one a photo, or beside the photo; and what `predict` tells its user."""

import json
from pathlib import Path

import pytest

from panoptic3d.cli.main import main
from panoptic3d.errors import InputError
from panoptic3d.export.facts import scene_facts
from panoptic3d.predictor.camera_files import camera_beside, read_camera_file
from panoptic3d.predictor.cameras import GivenCamera, choose_camera
from panoptic3d.predictor.found import Found
from panoptic3d.predictor.photos import load_photo
from panoptic3d.predictor.predictor import Predictor
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_files import REQUIRED_FILES, hashes_of
from tests.predictor.echo import Echo
from tests.predictor.hostile import picture

_CAMERA = {"fx_px": 50.0, "fy_px": 51.0, "cx_px": 31.5, "cy_px": 23.5, "width": 64, "height": 48}


def _only_facts(scene: PanopticScene, title: str, *_: object) -> dict[str, bytes]:
    """Scenes without meshes and pages, which have tests of their own and take their time."""
    segments = [
        {"name": s.name, "class": s.class_name, "is_thing": s.is_thing, "score": s.score, "title": title}
        for s in scene.segments
    ]
    others = dict.fromkeys(REQUIRED_FILES, b"")
    facts = scene_facts(scene, segments, (0.0, -1.0, 0.0)) | {"sha256": hashes_of(others)}
    return {**others, "scene.json": json.dumps(facts).encode()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("panoptic3d.predictor.scene_folder.scene_files", _only_facts)
    monkeypatch.setattr("panoptic3d.predictor.predictor.open_network", lambda *_: Echo())
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        picture(64, 48).save(f"{name}.png")
    return tmp_path


def _predict(*words: str) -> int:
    return main(["predict", *words, "--device", "cpu"])


def _facts(scene: str) -> dict:
    return json.loads(Path("scenes", scene, "scene.json").read_text())


def test_a_file_beside_the_photo_is_its_camera(folder: Path) -> None:
    Path("a.json").write_text(json.dumps(_CAMERA))
    Path("b.json").write_text(json.dumps({"camera": {"fov_deg": 33}, "taken by": "me"}))
    assert _predict("a.png", "b.png") == 0
    assert _facts("a")["camera"]["fy_px"] == 51.0
    assert _facts("a")["camera_source"] == "camera of a.json"
    assert _facts("b")["camera"]["fov_deg"] == 33
    assert Predictor(network=Echo())("a.png").camera == Camera(**_CAMERA)
    Path("a.json").write_text(json.dumps(_CAMERA | {"fx_px": 60}))
    assert _predict("a.png") == 2  # the old scene is kept, and the sentence says how to replace it


def test_what_the_call_says_comes_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.json").write_text(json.dumps(_CAMERA))
    Path("cameras.json").write_text(json.dumps({"a.png": {"fov_deg": 50}, "other": _CAMERA}))
    assert _predict("a.png", "b.png", "--cameras", "cameras.json") == 0
    assert "warning: cameras.json names other, which no photo of this call is called." in capsys.readouterr().err
    assert _predict("b.png", "--cameras", "cameras.json", "--overwrite") == 2
    assert "names a.png, other, which no photo of this call is called; use the photos' names" in capsys.readouterr().err
    assert _facts("a")["camera_source"] == "camera of cameras.json"
    assert _facts("b")["camera_source"].startswith("assumed")
    assert _predict("a.png", "--fov-deg", "40", "--overwrite") == 0
    assert _facts("a")["camera_source"] == "given field of view"
    Path("one.json").write_text(json.dumps(_CAMERA))
    assert read_camera_file(Path("one.json")).of(Path("any.jpg")).camera == Camera(**_CAMERA)


def test_a_stranger_beside_the_photo_is_left_alone(folder: Path) -> None:
    for text in ("", "[]", "{", '{"labels": []}', '{"camera": "Nikon"}'):
        Path("a.json").write_text(text)
        assert camera_beside(Path("a.png")) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cameras as JSON"),
        ("[]", "no JSON object"),
        ("{}", "holds no camera"),
        ('{"a.png": 3}', "no camera for 'a.png'"),
        ('{"a.png": {"focal": 3}}', "no camera for 'a.png'"),
        ('{"fx": 3}', "fy is None"),
        ('{"fov_deg": "wide"}', "fov_deg is 'wide'"),
        ('{"fov_deg": 1e999}', "fov_deg is inf"),
        (f'{{"fov_deg": 1{"0" * 400}}}', "fov_deg is 1000"),
        ('{"fov_deg": 400}', "between 0 and 180"),
        (json.dumps(_CAMERA | {"width": 6400}), "6400x48 for a photo of 64x48"),
    ],
)
def test_a_broken_camera_file_is_one_sentence(
    folder: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("cameras.json").write_text(text)
    assert _predict("a.png", "--cameras", "cameras.json") == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not Path("scenes").exists()


@pytest.mark.parametrize("factor", [0.25, 0.5, 0.7, 1.5, 2.0, 4.0])
def test_intrinsics_of_another_size_are_refused(folder: Path, factor: float) -> None:
    photo = load_photo("a.png")
    own = Camera.from_fov(60, 64, 48)
    given = tuple(value * factor for value in (own.fx_px, own.fy_px, own.cx_px, own.cy_px))
    with pytest.raises(InputError, match="not near the middle of a photo of 64x48"):
        choose_camera(photo, GivenCamera(intrinsics=given))  # pyright: ignore[reportArgumentType]


def test_predict_tells_what_it_found(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert _predict("a.png") == 0
    told = capfd.readouterr()
    assert told.out.splitlines() == [
        "scenes/a: 1 thing (1 sure), wall, floor; camera 60.0 degrees wide (assumed: 60 degrees across the longer side; "
        "--fov-deg or --cameras says better)",
        "to look at it: panoptic3d view scenes/a",
    ]
    assert _predict("a.png") == 0
    assert "(was there already; --overwrite makes it anew)" in capfd.readouterr().out
    assert _predict("a.png", "--min-score", "0.8") == 2  # other options
    assert "min_score" in capfd.readouterr().err
    assert _predict("a.png", "b.png", "--min-score", "0.8", "--overwrite") == 0
    told = capfd.readouterr()
    assert [line.split(": ")[1].split(",")[0] for line in told.out.splitlines()[:2]] == ["0 things", "0 things"]
    assert told.err.count("warning: no thing is sure") == 2
    assert [s["name"] for s in _facts("a")["segments"]] == ["wall", "floor"]


def test_nothing_at_all_is_a_warning() -> None:
    facts = {"segments": [], "camera": {"fov_deg": 60.0}, "camera_source": None}
    found = Found.from_facts(facts)
    assert found.is_nothing
    assert str(found) == "0 things, no wall, floor or ceiling; camera 60.0 degrees wide (not recorded)"
