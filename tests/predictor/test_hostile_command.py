"""The list of hostile inputs through the command line. A network that is none stands in: what is tried is all around it."""

import json
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from panoptic3d.cli.main import main
from panoptic3d.export.facts import scene_facts
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_files import REQUIRED_FILES
from tests.predictor.echo import Echo
from tests.predictor.hostile import BAD, FLAT, GOOD, GREY, exif, picture
from tests.predictor.untrained import make_checkpoint


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and scenes that are two files."""

    def files(scene: PanopticScene, title: str, *_: object) -> dict[str, bytes]:
        others = dict.fromkeys(REQUIRED_FILES, b"")
        return {
            **others,
            "preview.png": bytes(5000),
            "scene.json": json.dumps(scene_facts(scene, [{"name": title}], (0.0, -1.0, 0.0)) | {"sha256": {}}).encode(),
        }

    monkeypatch.setattr("panoptic3d.predictor.predictor.open_network", lambda *_: Echo())
    monkeypatch.setattr("panoptic3d.predictor.scene_folder.scene_files", files)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "config.json").write_text("{}")
    return tmp_path / "checkpoint"


@pytest.fixture
def small_files() -> Iterator[None]:
    """Writing more than 1,000 bytes to a file fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _predict(capsys: pytest.CaptureFixture, *words: object) -> tuple[int, str, str]:
    code = main(["predict", *map(str, words), "--device", "cpu"])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def _one_sentence(error: str) -> bool:
    return error.count("\n") == 1 and error.startswith("panoptic3d: ") and "unexpected" not in error


@pytest.mark.slow
def test_all_of_them_in_one_call(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture) -> None:
    """Sixty files of all kinds: each good one gets its scene, each bad one its sentence, and the call ends with 1."""
    good = [*GOOD.values(), *GREY.values(), *FLAT.values()]
    bad = [make for name, (make, _) in BAD.items() if name not in ("a folder", "a link to its folder")]
    photos = []
    for number, make in enumerate([*good, *bad]):
        folder = tmp_path / "in" / str(number)
        folder.mkdir(parents=True)
        photos.append(make(folder))
    for orientation in range(1, 9):
        photos.append(tmp_path / "in" / f"turned-{orientation}.jpg")
        picture().save(photos[-1], exif=exif(orientation))
    made = 0
    for photo in photos:  # one call each, as their names are the same
        code, out, error = _predict(capsys, photo, "--out", tmp_path / "one" / str(made), "--checkpoint", checkpoint)
        assert (code == 0 and out.count("\n") >= 1) or (code == 2 and _one_sentence(error)), (photo, code, error)
        made += code == 0
    assert made == len(good) + 8
    code, out, error = _predict(capsys, tmp_path / "in", "--out", tmp_path / "all", "--checkpoint", checkpoint)
    assert code == 1
    lines = [json.loads(line) for line in (tmp_path / "all" / "index.jsonl").read_text().splitlines()]
    assert error.count(" failed: ") == sum(line["error"] is not None for line in lines) > 15
    for line in lines:
        scene = line["scene"] and tmp_path / "all" / line["scene"]
        assert (line["error"] is None) == bool(scene and (scene / "scene.json").exists())


def test_a_loop_of_folders(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "in").mkdir()
    picture().save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in")
    assert _predict(capsys, tmp_path / "in", "--out", tmp_path / "out", "--checkpoint", checkpoint)[0] == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("names", [("a.png",), ("a.png", "b.png")])
def test_a_disk_that_takes_no_more(
    names: tuple[str, ...], tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture
) -> None:
    for name in names:
        picture(40, 40).save(tmp_path / name)
    photos = [tmp_path / name for name in names]
    code, _, error = _predict(capsys, *photos, "--out", tmp_path / "out", "--checkpoint", checkpoint)
    assert code == 1
    assert "cannot be written (File too large)" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["/proc/nowhere/out", "a.png"])
def test_a_place_that_takes_nothing(
    place: str, tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture
) -> None:
    picture().save(tmp_path / "a.png")
    code, _, error = _predict(capsys, tmp_path / "a.png", "--out", tmp_path / place, "--checkpoint", checkpoint)
    assert code == 2
    assert _one_sentence(error)
    assert "cannot be written" in error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--batch-size", "0"], "at least 1"),
        (["--simplify", "-1"], "--simplify"),
        (["--simplify", "nan"], "--simplify"),
        (["--checkpoint", "nowhere"], "'nowhere' is nowhere"),
        (["--fov-deg", "200"], "between 0 and 180"),
    ],
)
def test_calls_that_are_wrong(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    picture().save(tmp_path / "a.png")
    code, _, error = _predict(capsys, tmp_path / "a.png", "--out", tmp_path / "out", *words)
    assert code == 2
    assert _one_sentence(error)
    assert said in error


def test_a_checkpoint_that_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch) -> None:
    monkeypatch.undo()
    picture().save(tmp_path / "a.png")
    folder = make_checkpoint(tmp_path / "broken")
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    code, _, error = _predict(capsys, tmp_path / "a.png", "--out", tmp_path / "out", "--checkpoint", folder)
    assert code == 2
    assert _one_sentence(error)
    assert not (tmp_path / "out").exists()
