"""Many photos: nothing that is wrong with one of them reaches the others."""

import errno
import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from panoptic3d.errors import InputError
from panoptic3d.export.facts import scene_facts
from panoptic3d.export.folder import OutputError
from panoptic3d.files import claimed
from panoptic3d.predictor.camera_files import CameraPlace
from panoptic3d.predictor.cameras import GivenCamera
from panoptic3d.predictor.folder_run import Outcome, predict_folder, write_index
from panoptic3d.predictor.photo_list import list_orders
from panoptic3d.predictor.predictor import Predictor
from panoptic3d.predictor.scene_index import check_index
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_files import REQUIRED_FILES, hashes_of
from tests.predictor.echo import Echo
from tests.predictor.hostile import picture


@pytest.fixture(autouse=True)
def _only_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes without meshes and pages, which have tests of their own and take their time."""

    def files(scene: PanopticScene, title: str, *_: object) -> dict[str, bytes]:
        segments = [{"name": segment.name, "title": title} for segment in scene.segments]
        others = dict.fromkeys(REQUIRED_FILES, b"")
        return {
            **others,
            "scene.json": json.dumps(
                scene_facts(scene, segments, (0.0, -1.0, 0.0)) | {"sha256": hashes_of(others)}
            ).encode(),
        }

    monkeypatch.setattr("panoptic3d.predictor.scene_folder.scene_files", files)


class _FailsOn(Echo):
    """As a network that meets a picture it cannot do."""

    def __init__(self, color: tuple[int, int, int]) -> None:
        super().__init__()
        self.color = torch.tensor(color, dtype=torch.uint8)

    def scenes(self, images: torch.Tensor, cameras: Sequence[Camera]) -> list[PanopticScene]:
        scenes = super().scenes(images, cameras)
        if bool((images[:, :, 120, 160] == self.color).all(dim=1).any()):
            raise RuntimeError("out of memory")
        return scenes


def _photos(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        picture(64, 48).save(folder / name)
    return folder


def _run(photos: Path, out: Path, network: Echo, **options: object) -> list[Outcome]:
    return list(_running(photos, out, network, **options))


def _running(photos: Path, out: Path, network: Echo, **options: object) -> Iterator[Outcome]:
    return predict_folder(list_orders([photos], out), Predictor(network=network), out, **options)  # pyright: ignore


def test_bad_photos_are_named_and_the_rest_is_made_in_batches(tmp_path: Path) -> None:
    photos, out = _photos(tmp_path / "in", "a.png", "c.png"), tmp_path / "out"
    (photos / "b.png").write_bytes(b"")
    network = Echo()
    outcomes = _run(photos, out, network, batch_size=8)
    assert [len(images) for images, _ in network.asked] == [2]
    assert {o.order.scene: o.failure is None for o in outcomes} == {"a": True, "b": False, "c": True}
    write_index(out, outcomes)
    lines = [json.loads(line) for line in (out / "index.jsonl").read_text().splitlines()]
    assert [(line["scene"], line["num_segments"]) for line in lines] == [("a", 3), (None, 0), ("c", 3)]
    assert "is empty" in lines[1]["error"]
    assert sorted(path.name for path in out.iterdir()) == ["a", "c", "index.jsonl"]


def test_a_batch_that_fails_is_tried_one_by_one(tmp_path: Path) -> None:
    photos = _photos(tmp_path / "in", "a.png", "c.png")
    picture(64, 48).convert("L").convert("RGB").point(lambda _: 7).save(photos / "b.png")
    outcomes = _run(photos, tmp_path / "out", _FailsOn((7, 7, 7)), batch_size=3)
    failed = {o.order.scene: str(o.failure) for o in outcomes if o.failure}
    assert outcomes[1].failure is not None
    assert outcomes[1].failure.__traceback__ is not None
    assert outcomes[1].without_frames().failure.__traceback__ is None  # pyright: ignore[reportOptionalMemberAccess]
    assert failed == {"b": "out of memory"}
    assert outcomes[1].record()["error"] == "unexpected RuntimeError: out of memory"


def test_a_second_run_does_what_is_left_and_never_mixes(tmp_path: Path) -> None:
    photos, out = _photos(tmp_path / "in", "a.png"), tmp_path / "out"
    _run(photos, out, Echo())
    _photos(photos, "b.png")
    second = Echo()
    outcomes = _run(photos, out, second)
    assert [(o.order.scene, o.was_there) for o in outcomes] == [("a", True), ("b", False)]
    assert len(second.asked) == 1
    other = Echo()
    other.checkpoint = {"name": "other", "sha256": "1"}
    assert all("another checkpoint" in str(o.failure) for o in _run(photos, out, other))
    picture(80, 60).save(photos / "a.png")
    assert "another photo" in str(_run(photos, out, Echo())[0].failure)
    assert all(o.failure is None and not o.was_there for o in _run(photos, out, other, overwrite=True))
    assert json.loads((out / "a" / "scene.json").read_text())["checkpoint"]["name"] == "other"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cameras": CameraPlace(GivenCamera(fov_deg=20.0))}, 'other options (none; now {"fov_deg": 20.0})'),
        ({"simplify_vox": 2.0}, "simplify_vox"),
        ({}, ""),
    ],
)
def test_other_options_are_another_scene(options: dict, said: str, tmp_path: Path) -> None:
    photos, out = _photos(tmp_path / "in", "a.bmp"), tmp_path / "out"
    _run(photos, out, Echo())
    [outcome] = _run(photos, out, Echo(), **options)
    assert (said in str(outcome.failure)) if said else outcome.was_there


def test_another_photo_of_the_same_size_and_a_changed_file_are_seen(tmp_path: Path) -> None:
    photos, out = _photos(tmp_path / "in", "a.bmp", "b.bmp"), tmp_path / "out"
    _run(photos, out, Echo())
    picture(64, 48).transpose(0).save(photos / "a.bmp")
    (out / "b" / "scene.glb").write_bytes(b"mine")
    failures = [str(outcome.failure) for outcome in _run(photos, out, Echo())]
    assert "is the scene of another photo" in failures[0]
    assert "scene.glb is not what was written" in failures[1]


def test_trouble_with_the_place_of_one_photo_is_that_photos(tmp_path: Path) -> None:
    photos, out = tmp_path / "in", tmp_path / "out"
    for name in ("a", "c", "d", "e"):
        _photos(_made(photos / name), "1.png")
    _photos(photos, "f.png")
    _made(out)
    (out / "a").touch()
    for name, text in (("d", "[" * 100_000), ("e", "{}")):
        _made(out / name / "1")
        for file in REQUIRED_FILES:
            (out / name / "1" / file).write_text(text)
    os.mkfifo(_made(out / "f") / "scene.json")
    outcomes = {o.order.scene: str(o.failure) for o in _run(photos, out, Echo())}
    assert outcomes.pop("c/1") == "None"
    assert "cannot be written (File exists" in outcomes.pop("a/1")
    assert all("is there already and" in failure for failure in outcomes.values())


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_a_scene_that_would_lie_in_a_scene_is_refused(tmp_path: Path) -> None:
    photos, out = _photos(tmp_path / "in", "a.png"), tmp_path / "out"
    _run(photos, out, Echo())
    _photos(photos / "a", "b.png")
    outcomes = {o.order.scene: o.failure for o in _run(photos, out, Echo())}
    assert outcomes["a.png"] is None
    assert "inside of the scene" in str(outcomes["a/b"])


def test_two_runs_share_the_work(tmp_path: Path) -> None:
    """While one process is at a photo another does the rest, waits, and finds that photo done."""
    photos, out = _photos(tmp_path / "in", "a.png", "b.png"), tmp_path / "out"
    outcomes: list[Outcome] = []
    begun, network = threading.Event(), Echo()

    def elsewhere() -> None:
        for outcome in _running(photos, out, network):
            outcomes.append(outcome)
            begun.set()

    [a, _] = list_orders([photos], out)
    _made(out)
    with claimed(out, a.scene) as is_mine:
        assert is_mine
        other = threading.Thread(target=elsewhere)
        other.start()
        assert begun.wait(20)
        assert [o.order.scene for o in outcomes] == ["b"]
        [made] = list(_run(photos / "a.png", tmp_path / "made", Echo()))
        assert made.failure is None
        (tmp_path / "made" / "a").rename(out / "a")
    other.join()
    assert [(o.order.scene, o.was_there) for o in outcomes] == [("b", False), ("a", True)]
    assert len(network.asked) == 1
    assert sorted(path.name for path in out.iterdir()) == ["a", "b"]


def test_an_index_keeps_the_lines_of_other_calls_and_is_nobody_elses(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_index(out, _run(_photos(tmp_path / "one", "a.png"), out, Echo()))
    write_index(out, _run(_photos(tmp_path / "two", "b\udcff.png"), out, Echo()))
    lines = [json.loads(line) for line in (out / "index.jsonl").read_text().splitlines()]
    assert [line["scene"] for line in lines] == ["a", "b\udcff"]
    assert (out / lines[1]["scene"] / "scene.json").is_file()
    for text in ("notes of mine", '{"a": 1}', "[" * 100_000):
        (out / "index.jsonl").write_text(text)
        with pytest.raises(InputError, match="no list of scenes"):
            check_index(out)


def test_what_is_no_whole_scene_is_left_alone(tmp_path: Path) -> None:
    photos, out = _photos(tmp_path / "in", "a.png", "b.png"), tmp_path / "out"
    _run(photos, out, Echo())
    (out / "a" / "scene.glb").unlink()
    (out / "b" / "notes.txt").write_text("years of work")
    network = Echo()
    assert [str(o.failure).count("lacks scene.glb") for o in _run(photos, out, network) if o.failure] == [1]
    outcomes = {o.order.scene: o for o in _run(photos, out, network, overwrite=True)}
    assert outcomes["a"].failure is None
    assert "notes.txt" in str(outcomes["b"].failure)
    assert len(network.asked) == 1
    assert (out / "b" / "notes.txt").read_text() == "years of work"


def test_a_full_disk_ends_the_run_and_leaves_no_half_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos, out = _photos(tmp_path / "in", "a.png", "b.png"), tmp_path / "out"

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        _run(photos, out, Echo())
    assert not out.exists()
