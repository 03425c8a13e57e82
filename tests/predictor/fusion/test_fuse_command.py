"""`panoptic3d fuse` on a folder of saved scenes."""

import json
from pathlib import Path

import pytest

from panoptic3d import PanopticScene
from panoptic3d.cli.main import main
from panoptic3d.data.predictions import write_prediction
from panoptic3d.export.facts import scene_facts
from tests.predictor.fusion.worlds import Box, around, perfect_scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("fuse")
    boxes = (Box((-0.9, 0.4, -0.5), (-0.4, 1.0, 0.0)), Box((0.3, 0.5, -0.6), (0.9, 1.0, 0.1)))
    lines = []
    for name, pose in zip(("a", "b"), around(2), strict=True):
        _save_without_pages(perfect_scene(boxes, pose), place / "scenes" / name)
        (w, x, y, z), (tx, ty, tz) = _quaternion(pose[:3, :3].numpy()), pose[:3, 3].tolist()
        lines.append(f"{name}.jpg {tx / 2} {ty / 2} {tz / 2} {x} {y} {z} {w}")
    (place / "poses.txt").write_text("\n".join(lines))
    return place


def _save_without_pages(scene: PanopticScene, folder: Path) -> None:
    """What fusion reads: meshes and pages take seconds."""
    folder.mkdir(parents=True)
    write_prediction(folder / "scene.npz", scene)
    (folder / "scene.json").write_text(json.dumps(scene_facts(scene, [], (0.0, -1.0, 0.0))))


def _quaternion(m) -> tuple[float, float, float, float]:
    w = (1 + m[0, 0] + m[1, 1] + m[2, 2]) ** 0.5 / 2
    return w, (m[2, 1] - m[1, 2]) / 4 / w, (m[0, 2] - m[2, 0]) / 4 / w, (m[1, 0] - m[0, 1]) / 4 / w


@pytest.mark.slow
def test_scenes_become_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fuse", str(folder / "scenes"), "--poses", str(folder / "poses.txt"), "--out", str(folder / "room")]
    assert main([*words, "--pose-scale", "2"]) == 0
    assert "2 things of 2 photos" in capsys.readouterr().out
    facts = json.loads((folder / "room" / "scene.json").read_text())
    assert facts["provenance"]["fusion"] == {
        "photos": ["a", "b"],
        "scale": {"metres_per_unit": 2.0, "from": "given"},
    }
    assert len(facts["views"]) == 2
    room = PanopticScene.load(folder / "room")
    assert room.known is not None
    assert room.confidence is not None
    assert len([s for s in room.segments if s.is_thing]) == 2
    assert main([*words, "--pose-scale", "2"]) == 2  # it is there
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"--poses": "nowhere"}, "nothing lies there"),
        ({"--pose-scale": "x"}, "--pose-scale is 'x'"),
        ({"--pose-scale": "0"}, "--pose-scale is '0'"),
        ({"--pose-scale": "auto"}, "a scene has none"),
        ({"DIR": "nowhere"}, "no folder"),
        ({"--fov-deg": "70", "--checkpoint": "tiny"}, "leave --fov-deg, --checkpoint out"),
        ({"--poses": "colmap"}, "give the folder of their photos"),
    ],
)
def test_a_wrong_call_is_one_sentence(
    changes: dict[str, str], says: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"--poses": str(folder / "poses.txt"), "--out": str(tmp_path / "out"), **changes}
    place = words.pop("DIR", str(folder / "scenes"))
    assert main(["fuse", place, *(word for pair in words.items() for word in pair)]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_scene_without_a_pose_is_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "poses.txt").write_text((folder / "poses.txt").read_text().split("\n")[0])
    words = ["fuse", str(folder / "scenes"), "--poses", str(tmp_path / "poses.txt"), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "1 of 2 photos have no pose (b)" in capsys.readouterr().err
