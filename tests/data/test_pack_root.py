"""Packing a folder: resumable, killed at any moment, twice at once, and every failure named."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from panoptic3d.cli import main
from panoptic3d.data.front3d import Front3dFiles
from panoptic3d.data.packed import pack
from panoptic3d.data.packed.pack import Outcome, copy_splits, pack_root
from panoptic3d.data.packed.promise import broken_promises
from panoptic3d.data.packed.unpack import unpack_root
from panoptic3d.data.roots import DataRoot, open_root
from panoptic3d.errors import BadFileError, InputError
from panoptic3d.structures.sample import Sample

STEPS = 5000


@pytest.fixture
def source(small_root: Path, small_sample: Sample) -> DataRoot:
    assert small_sample.truth is not None
    return DataRoot(small_root, "front3d", small_sample.camera, small_sample.truth.grid)


def _states(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.key.split("/")[1]: outcome.state for outcome in outcomes}


def _assert_whole(source: DataRoot, out: Path, keys: list[str]) -> None:
    """Every sample is there and right, and nothing else is."""
    packed = open_root(out)
    assert packed.layout == "packed"
    assert packed.keys() == keys
    for key in keys:
        assert broken_promises(source.read(key), packed.read(key), STEPS) == []
    names = {path.name for path in out.rglob("*") if path.is_file()}
    assert names == {"packed.json", "frustum_mask.npz", ".lock", *(f"{key.split('/')[1]}.p3d" for key in keys)}


def test_pack_and_pack_again(source: DataRoot, tmp_path: Path) -> None:
    keys, out = source.keys(), tmp_path / "packed"
    report = pack_root(source, out, keys)
    assert [outcome.state for outcome in report.outcomes] == ["packed"] * 5
    _assert_whole(source, out, keys)
    written = {path: path.stat().st_mtime_ns for path in out.glob("*/*.p3d")}
    again = pack_root(source, out, keys)
    assert [outcome.state for outcome in again.outcomes] == ["already packed"] * 5
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/*.p3d")} == written
    figures = again.to_json()
    assert figures["packed_bytes"] == sum(path.stat().st_size for path in written)
    assert figures["released_bytes"] == sum(path.stat().st_size for path in source.path.glob("*/*"))
    checked = pack_root(source, out, keys, is_check=True)
    assert [outcome.state for outcome in checked.outcomes] == ["checked"] * 5


def test_broken_and_changed_samples_are_packed_again(source: DataRoot, tmp_path: Path) -> None:
    out, keys = tmp_path / "packed", source.keys()
    pack_root(source, out, keys)
    cut = out / "room" / "0001.p3d"
    cut.write_bytes(cut.read_bytes()[:-5])
    image = Front3dFiles(source.path, "room", "0002").image
    Image.new("RGB", (64, 48), (1, 2, 3)).save(image)
    states = _states(list(pack_root(source, out, keys).outcomes))
    assert {frame for frame, state in states.items() if state == "packed"} == {"0001", "0002"}
    _assert_whole(source, out, keys)


def test_a_bad_sample_is_named_and_the_others_go_on(source: DataRoot, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    bad = Front3dFiles(source.path, "room", "0003").geometry
    bad.write_bytes(b"")
    report = pack_root(source, out, source.keys())
    (failure,) = report.failed
    assert (failure.key, failure.path, failure.reason) == ("room/0003", str(bad), "empty")
    assert len(open_root(out).keys()) == 4
    assert report.to_json()["num_by_state"] == {"failed": 1, "packed": 4}


def test_check_finds_what_differs(source: DataRoot, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    pack_root(source, out, source.keys())
    shutil.copy(out / "room" / "0001.p3d", out / "room" / "0002.p3d")
    (out / "room" / "0004.p3d").unlink()
    report = pack_root(source, out, source.keys(), is_check=True)
    assert {outcome.key: outcome.reason for outcome in report.failed} == {
        "room/0002": "refused",
        "room/0004": "missing",
    }


def test_foreign_folders_are_left_alone(source: DataRoot, small_root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not empty"):
        pack_root(source, small_root, source.keys())
    out = tmp_path / "packed"
    pack_root(source, out, [])
    with pytest.raises(InputError, match="packed already"):
        pack_root(open_root(out), tmp_path / "other", [])
    manifest = json.loads((out / "packed.json").read_text())
    (out / "packed.json").write_text(json.dumps(manifest | {"layout": "matterport"}))
    with pytest.raises(InputError, match="another kind of data"):
        pack_root(source, out, source.keys())
    (out / "packed.json").write_text("{}")
    with pytest.raises(BadFileError):
        open_root(out)


def test_a_write_that_breaks_off_leaves_nothing(
    source: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, keys, replace = tmp_path / "packed", source.keys(), os.replace

    def break_off(before: str, after: str) -> None:
        if str(after).endswith("0002.p3d"):
            raise KeyboardInterrupt
        replace(before, after)

    monkeypatch.setattr(os, "replace", break_off)
    with pytest.raises(KeyboardInterrupt):
        pack_root(source, out, keys)
    monkeypatch.undo()
    assert not (out / "room" / "0002.p3d").exists()
    pack_root(source, out, keys)
    _assert_whole(source, out, keys)


def test_what_a_killed_packer_left_is_swept_and_a_living_one_is_not(source: DataRoot, tmp_path: Path) -> None:
    out, keys = tmp_path / "packed", source.keys()
    pack_root(source, out, keys)
    orphan = out / "room" / ".partial-0123abcd"
    orphan.write_bytes(b"half")
    with pack._shared_folder(out):
        assert not orphan.exists()
        orphan.write_bytes(b"half, being written")
        pack_root(source, out, keys)
        assert orphan.exists()
    assert not orphan.exists()


def test_two_packers_at_once(source: DataRoot, tmp_path: Path) -> None:
    out, keys = tmp_path / "packed", source.keys()
    threads = [threading.Thread(target=pack_root, args=(source, out, keys)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _assert_whole(source, out, keys)


_SCRIPT = """
import sys
from pathlib import Path
from panoptic3d.data.packed.pack import pack_root
from panoptic3d.data.roots import DataRoot
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
if __name__ == "__main__":
    source = DataRoot(Path(sys.argv[1]), "front3d", {camera!r}, {grid!r})
    report = pack_root(source, sys.argv[2], source.keys(), num_jobs=int(sys.argv[3]))
    sys.exit(len(report.failed))
"""


def _start_packer(source: DataRoot, out: Path, num_jobs: int) -> subprocess.Popen:
    script = out.parent / "packer.py"
    script.write_text(_SCRIPT.format(camera=source.camera, grid=source.grid))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(source.path), str(out), str(num_jobs)]
    return subprocess.Popen(command, env=environment)


def _multiply(source: DataRoot, times: int) -> list[str]:
    """More frames out of the few, so that there is something to interrupt."""
    for path in list((source.path / "room").iterdir()):
        for number in range(1, times):
            stem, frame = path.name.split(".")[0].rsplit("_", 1)
            name = path.name.replace(f"{stem}_{frame}", f"{stem}_{int(frame) + 100 * number:04d}")
            os.link(path, path.with_name(name))
    return source.keys()


@pytest.mark.slow
@pytest.mark.parametrize("num_jobs", [1, 2])
def test_killed_at_any_moment_and_started_again(source: DataRoot, tmp_path: Path, num_jobs: int) -> None:
    out, keys = tmp_path / "packed", _multiply(source, 24)
    chance = random.Random(num_jobs)
    for attempt in range(4):
        packer = _start_packer(source, out, num_jobs)
        goal = len(list(out.glob("*/*.p3d"))) + attempt
        deadline = time.monotonic() + 60
        while packer.poll() is None and len(list(out.glob("*/*.p3d"))) < goal and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.08))
        packer.send_signal(signal.SIGKILL)
        packer.wait()
    before = {path.name for path in out.glob("*/*.p3d")}
    assert 0 < len(before) < len(keys)
    assert _start_packer(source, out, num_jobs).wait() == 0
    _assert_whole(source, out, keys)


@pytest.mark.slow
def test_two_processes_at_once_with_two_workers_each(source: DataRoot, tmp_path: Path) -> None:
    out, keys = tmp_path / "packed", _multiply(source, 6)
    packers = [_start_packer(source, out, num_jobs=2) for _ in range(2)]
    assert [packer.wait() for packer in packers] == [0, 0]
    _assert_whole(source, out, keys)


def test_unpack_writes_the_released_layout(source: DataRoot, tmp_path: Path) -> None:
    packed, released, keys = tmp_path / "packed", tmp_path / "released", source.keys()
    pack_root(source, packed, keys)
    for _ in range(2):
        unpack_root(open_root(packed), released, keys)
    again = DataRoot(released, "front3d", source.camera, source.grid)
    assert again.keys() == keys
    for key in keys:
        before, after = source.read(key), again.read(key)
        assert before.truth is not None
        assert after.truth is not None
        broken = broken_promises(before, after, STEPS)
        assert set(broken) <= {"coarse_occupancy of the voxels changed"}
        assert np.array_equal(before.truth.dense_weight(), after.truth.dense_weight())
    with pytest.raises(InputError, match="no packed 3D-Front"):
        unpack_root(again, tmp_path / "x", keys)


def test_the_verb_that_unpacks_writes_the_splits_too(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = shutil.copytree(repository / "data" / "tiny", tmp_path / "packed")
    (packed / "splits").mkdir()
    (packed / "splits" / "own.txt").write_text("box-room-4/0001\r\n")
    monkeypatch.setattr("panoptic3d.data.packed.unpack.unpack_root", lambda source, out, keys, watch: list(keys))
    assert main(["data", "pack", str(packed), "--unpack", "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "splits" / "own.txt").read_bytes() == b"box-room-4/0001\r\n"


def test_splits_go_along_with_their_checksums(source: DataRoot, tmp_path: Path) -> None:
    (source.path / "splits").mkdir()
    (source.path / "splits" / "val.txt").write_text("room/0001\r\n\nroom/0000\n")
    out = tmp_path / "packed"
    pack_root(source, out, source.split("val").keys)
    copy_splits(source, out)
    ours, theirs = open_root(out).split("val"), source.split("val")
    assert ours.keys == theirs.keys == ("room/0001", "room/0000")
    assert ours.sha256 == theirs.sha256
    assert open_root(out).split(None).keys == ("room/0000", "room/0001")


def test_the_verb(pristine_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from panoptic3d.cli.main import main

    assert main(["data", "pack", str(pristine_root / "nowhere"), "--out", str(tmp_path / "out")]) == 2
    assert "is no folder" in capsys.readouterr().err
    # the tiny samples have another grid than the release: each is named, with its file, and the verb fails
    assert main(["data", "pack", str(pristine_root), "--out", str(tmp_path / "out")]) in (1, 2)
    assert "frustum_mask.npz" in capsys.readouterr().err


@pytest.fixture
def matterport_root(tmp_path: Path, make_sample: Callable[..., Sample]) -> DataRoot:
    """One frame in the Matterport3D layout, on the small grid."""
    folder, name, random = tmp_path / "matterport" / "building", "abc_{}1_4", np.random.default_rng(0)
    folder.mkdir(parents=True)
    truth = make_sample().truth
    assert truth is not None
    sign = np.where(np.arange(truth.grid.shape[2]) > 30, -1, 1)
    mask = truth.frustum_mask.numpy()
    distance = np.where(mask, truth.dense_distance_vox().numpy() * sign, -12.0).astype(np.float32)
    np.savez(folder / "abc_geometry1_4.npz", data=distance, mask=~mask)
    labels = np.stack((truth.dense_semantic().numpy(), truth.dense_instance().numpy() + 1)).astype(np.int32)
    np.savez(folder / "abc_segmentation1_4.mapped.npz", data=labels)
    np.savez(folder / "abc_weighting1_4.npz", data=random.choice([1, 2, 25, 50], truth.grid.shape).astype(np.int16))
    segmap = random.integers(0, 13, (240, 320, 3)).astype(np.uint32)
    np.savez(folder / name.format("segmap").replace("4", "4.mapped.npz"), data=segmap)
    np.save(folder / "abc_intrinsics_1.npy", np.diag([269.0, 252.0, 1.0, 1.0]))
    Image.fromarray(random.integers(0, 22000, (240, 320)).astype(np.uint16)).save(folder / "abc_d1_4.png")
    Image.fromarray(random.integers(0, 256, (240, 320, 3)).astype(np.uint8)).save(folder / "abc_i1_4.jpg")
    return DataRoot(folder.parent, "matterport", grid=truth.grid)


def test_matterport_packs_too(matterport_root: DataRoot, tmp_path: Path) -> None:
    assert open_root(matterport_root.path).layout == "matterport"
    (matterport_root.path / "test.txt").write_text("building/abc_1_4.mapped\n")
    keys = matterport_root.split("test").keys
    assert list(keys) == matterport_root.keys() == ["building/abc_1_4"]
    report = pack_root(matterport_root, tmp_path / "packed", keys)
    assert report.failed == []
    packed, original = open_root(tmp_path / "packed").read(keys[0]), matterport_root.read(keys[0])
    assert broken_promises(original, packed, 4000) == []
    assert np.array_equal(packed.depth_m, original.depth_m)
    assert packed.truth is not None
    assert bool((packed.truth.distance_vox < 0).any())
    assert packed.room_2d is not None
