"""Planted faults: each is found, named by file and slug, and the sound copy passes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from panoptic3d.cli.main import main

_KEY = "room-0/0001"


def _load(path: Path, key: str = "data") -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        return archive[key].copy()


def _edit(path: Path, change: Callable[[np.ndarray], np.ndarray | None]) -> None:
    array = _load(path)
    changed = change(array)
    np.savez(path, data=array if changed is None else changed)


def _edit_depth(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with OpenEXR.File(str(path)) as file:
        depth = np.array(file.channels()["Z"].pixels)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {"Z": np.ascontiguousarray(change(depth))}) as file:
        file.write(str(path))


def _cut(path: Path, share: float = 0.6) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def _put(index: tuple, value: float) -> Callable[[np.ndarray], None]:
    def change(array: np.ndarray) -> None:
        array[index] = value

    return change


def _drop_instance(scene: Path) -> None:
    """Take the thing with the most pixels out of the labels; its voxels become those of another id."""
    segmap = _load(scene / "segmap_0001.mapped.npz")
    things = segmap[..., 1][(segmap[..., 0] > 0) & (segmap[..., 0] < 10)]
    ids, counts = np.unique(things, return_counts=True)
    labels = _load(scene / "segmentation_0001.mapped.npz")
    small = int(ids[counts.argmin()])
    labels[1][labels[1] == small] = 0
    np.savez(scene / "segmentation_0001.mapped.npz", data=labels)


def _shift(array: np.ndarray) -> np.ndarray:
    return np.roll(array, (6, 6, 6), axis=(-3, -2, -1))


def _shift_volumes(scene: Path) -> None:
    for name in ("geometry_0001.npz", "segmentation_0001.mapped.npz", "weighting_0001.npz"):
        _edit(scene / name, _shift)


_IMAGE, _DEPTH, _SEGMAP = "rgb_0001.png", "depth_0001.exr", "segmap_0001.mapped.npz"
_GEOMETRY, _LABELS, _WEIGHT = "geometry_0001.npz", "segmentation_0001.mapped.npz", "weighting_0001.npz"

# what is broken -> (how, file that must be named, slug)
FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "missing file": (lambda s: (s / _WEIGHT).unlink(), _WEIGHT, "missing"),
    "missing photo": (lambda s: (s / _IMAGE).unlink(), _IMAGE, "missing"),
    "zero bytes": (lambda s: (s / _SEGMAP).write_bytes(b""), _SEGMAP, "empty"),
    "truncated PNG": (lambda s: _cut(s / _IMAGE), _IMAGE, "truncated"),
    "truncated EXR": (lambda s: _cut(s / _DEPTH), _DEPTH, "truncated"),
    "truncated npz": (lambda s: _cut(s / _GEOMETRY), _GEOMETRY, "truncated"),
    "wrong shape": (lambda s: _edit(s / _WEIGHT, lambda a: a[:-1]), _WEIGHT, "wrong_shape"),
    "wrong dtype": (lambda s: _edit(s / _LABELS, lambda a: a.astype(np.float32)), _LABELS, "wrong_dtype"),
    "wrong key": (lambda s: np.savez(s / _WEIGHT, dada=np.ones(3)), _WEIGHT, "wrong_key"),
    "pickled npz": (lambda s: np.savez(s / _SEGMAP, data=np.array([{}], dtype=object)), _SEGMAP, "pickled"),
    "class 77 in 3D": (lambda s: _edit(s / _LABELS, _put((0, 100, 100, 100), 77)), _LABELS, "bad_class"),
    "class 77 in 2D": (lambda s: _edit(s / _SEGMAP, _put((5, 5, 0), 77)), _SEGMAP, "bad_class"),
    "negative instance": (lambda s: _edit(s / _LABELS, _put((1, 99, 99, 99), -4)), _LABELS, "negative_instance"),
    "NaN depth": (lambda s: _edit_depth(s / _DEPTH, lambda d: _with(d, np.nan)), _DEPTH, "nan_depth"),
    "infinite depth": (lambda s: _edit_depth(s / _DEPTH, lambda d: _with(d, np.inf)), _DEPTH, "infinite_depth"),
    "NaN distance": (lambda s: _edit(s / _GEOMETRY, _put((90, 90, 90), np.nan)), _GEOMETRY, "nan_distance"),
    "turned depth": (lambda s: _edit_depth(s / _DEPTH, lambda d: d[::-1, ::-1]), _DEPTH, "turned_depth"),
    "volume not matching depth": (_shift_volumes, _GEOMETRY, "unregistered"),
    "instance in 2D but not in 3D": (_drop_instance, _LABELS, "instance_only_in_2d"),
    "labels off the surface": (lambda s: _edit(s / _LABELS, lambda a: a * 0), _LABELS, "labels_off_surface"),
    "weights of another frame": (lambda s: _edit(s / _WEIGHT, lambda a: a[::-1, ::-1]), _WEIGHT, "weight_mismatch"),
}


def _with(depth: np.ndarray, value: float) -> np.ndarray:
    depth[3, 4] = value
    return depth


def _copy(box_root: Path, folder: Path, scene: str = "room-0") -> Path:
    root = folder / "root"
    (root / scene).mkdir(parents=True)
    for path in (box_root / scene).iterdir():
        shutil.copy(path, root / scene)
    shutil.copy(box_root / "frustum_mask.npz", root)
    return root


def _verify(root: Path, folder: Path, *options: str) -> tuple[int, dict]:
    report = folder / "report.json"
    code = main(["data", "verify", str(root), "--jobs", "1", "--json", str(report), *options])
    return code, json.loads(report.read_text())


def test_the_sound_copy_passes(box_root: Path, tmp_path: Path) -> None:
    code, report = _verify(box_root, tmp_path)
    assert report["problems"] == []
    assert (code, report["num_samples"], report["num_bad_samples"]) == (0, 2, 0)
    assert not list(tmp_path.glob("*.journal"))


# One fault of each mechanism is tried every time; those that only repeat a reader's test (test_front3d.py) are slow ones.
_QUICK = {
    "missing file",
    "missing photo",
    "zero bytes",
    "truncated EXR",
    "pickled npz",
    "turned depth",
    "volume not matching depth",
    "instance in 2D but not in 3D",
    "weights of another frame",
}


@pytest.mark.parametrize("fault", [pytest.param(f, marks=[] if f in _QUICK else pytest.mark.slow) for f in FAULTS])
def test_a_planted_fault_is_found_and_named(fault: str, box_root: Path, tmp_path: Path) -> None:
    plant, file, slug = FAULTS[fault]
    root = _copy(box_root, tmp_path)
    plant(root / "room-0")
    code, report = _verify(root, tmp_path)
    assert code == 1
    assert report["num_bad_samples"] == 1
    named = {(problem["sample"], problem["path"], problem["reason"]) for problem in report["problems"]}
    assert (_KEY, f"room-0/{file}", slug) in named


def test_several_faults_of_one_sample_are_all_named(box_root: Path, tmp_path: Path) -> None:
    root = _copy(box_root, tmp_path)
    (root / "room-0" / _IMAGE).unlink()
    (root / "room-0" / _GEOMETRY).write_bytes(b"")
    _, report = _verify(root, tmp_path)
    assert report["counts"] == {"empty": 1, "missing": 1}


@pytest.mark.parametrize(
    ("mask", "slug"),
    [
        (lambda m: m[::-1, ::-1], "foreign_mask"),  # camera aligned instead of stored: one voxel off
        (lambda m: np.roll(m, 9, axis=2), "foreign_mask"),
        pytest.param(lambda m: m[:128], "wrong_shape", marks=pytest.mark.slow),
        pytest.param(lambda m: m.astype(np.uint8), "wrong_dtype", marks=pytest.mark.slow),
    ],
)
def test_a_mask_of_another_grid_is_named_once(mask: Callable, slug: str, box_root: Path, tmp_path: Path) -> None:
    root = _copy(box_root, tmp_path)
    path = root / "frustum_mask.npz"
    np.savez(path, mask=mask(_load(path, "mask")))
    code, report = _verify(root, tmp_path)
    assert code == 1
    assert [(p["sample"], p["path"], p["reason"]) for p in report["problems"]] == [("", "frustum_mask.npz", slug)]


@pytest.mark.slow
def test_a_killed_run_goes_on_and_reads_changed_files_again(box_root: Path, tmp_path: Path) -> None:
    from panoptic3d.cli.data.verify_run import VerifyJob, journal_of
    from panoptic3d.data.roots import open_root
    from panoptic3d.data.verify import Finding

    root = _copy(box_root, tmp_path)
    shutil.copytree(box_root / "room-1", root / "room-1")
    opened = open_root(root)
    job = VerifyJob(root, None, 1, tmp_path / "report.json", is_fresh=False)
    with journal_of(job, opened).opened() as note:
        for scene in ("room-0", "room-1"):
            planted = Finding(f"{scene}/0001", "x", None, "planted", "as an earlier run found")
            note(planted.sample, [planted])
    with (tmp_path / "report.json.journal").open("a") as file:
        file.write('{"sample": "room-1/0001", "sta')  # killed here
    (root / "room-1" / _WEIGHT).unlink()
    _, report = _verify(root, tmp_path)
    assert report["counts"] == {"missing": 1, "planted": 1}
    code, report = _verify(root, tmp_path)  # the report was whole: nothing is left of the earlier runs
    assert (code, report["counts"]) == (1, {"missing": 1})


def test_a_packed_copy_passes_and_a_broken_one_is_named(box_root: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    assert main(["data", "pack", str(box_root), "--out", str(packed)]) == 0
    code, report = _verify(packed, tmp_path)
    assert (code, report["layout"], report["num_samples"]) == (0, "packed", 2)
    _cut(packed / "room-0" / "0001.p3d")
    code, report = _verify(packed, tmp_path)
    assert [(p["path"], p["reason"]) for p in report["problems"]] == [("room-0/0001.p3d", "truncated")]
    assert code == 1


@pytest.mark.slow
def test_processes_find_the_same(box_root: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert main(["data", "verify", str(box_root), "--jobs", "2", "--json", str(report)]) == 0
    assert json.loads(report.read_text())["num_samples"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "is no folder"),
        (["."], "looks like none of the known layouts"),
        ([".", "--jobs", "0"], "argument --jobs: 0 is too little"),
        ([".", "--json", "nowhere/report.json"], "folder that is not there"),
    ],
)
def test_a_wrong_call_is_named(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", "verify", *words]) == 2
    assert message in capsys.readouterr().err
