"""Checkpoints appear whole, prove themselves, and are found again."""

import logging
from pathlib import Path

import pytest
import torch

from panoptic3d.engine.training.checkpoint import (
    TRAINING,
    WEIGHTS,
    Checkpoint,
    all_checkpoints,
    damage_of,
    find_checkpoint,
    newest_intact,
    point,
    prune,
    read_training,
    read_weights,
    save_with_torch,
    set_aside,
    sweep,
    write_checkpoint,
)
from panoptic3d.errors import BadFileError, InputError, Panoptic3dError


def _checkpoint(step: int) -> Checkpoint:
    shared = torch.full((2, 2), float(step))
    training = {"step": step, "random": [{"torch": torch.arange(3)}]}
    return Checkpoint(step, {"a": shared, "tied": shared}, {"method": "x"}, {"family": "x"}, training)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, _checkpoint(7))
    assert path.name == "step-00000007"
    assert damage_of(path) is None
    assert torch.equal(read_weights(path)["tied"], torch.full((2, 2), 7.0))
    assert read_training(path)["step"] == 7
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "origin.json", TRAINING, "checksums.json"])
@pytest.mark.parametrize("harm", ["cut", "gone", "flipped"])
def test_the_newest_intact_one_is_found_and_the_damaged_named(
    tmp_path: Path, name: str, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = (write_checkpoint(tmp_path, _checkpoint(step)) for step in (5, 10))
    data = (bad / name).read_bytes()
    (bad / name).unlink()
    if harm != "gone":
        (bad / name).write_bytes(data[:-2] if harm == "cut" else bytes([data[0] ^ 1]) + data[1:])
    with caplog.at_level(logging.WARNING):
        assert newest_intact(tmp_path) == good
    assert str(bad) in caplog.text
    with pytest.raises((BadFileError, InputError)):
        find_checkpoint(str(bad))
    assert find_checkpoint(str(tmp_path)) == good


def test_a_damaged_one_is_replaced_by_a_whole_one(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, _checkpoint(5))
    (path / WEIGHTS).write_bytes(b"")
    write_checkpoint(tmp_path, _checkpoint(5))
    assert damage_of(path) is None


def test_a_writer_killed_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, _checkpoint(5))
    path.rename(tmp_path / f".retired-{path.name}")
    (tmp_path / ".partial-0123abcd").mkdir()
    sweep(tmp_path)
    assert newest_intact(tmp_path) == path
    assert len(list(tmp_path.iterdir())) == 1


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4, 5):
        path = write_checkpoint(tmp_path, _checkpoint(step))
        point(tmp_path, "latest", path)
        prune(tmp_path, keep=2, best="step-00000002", written=())
    assert [path.name for path in all_checkpoints(tmp_path)] == ["step-00000005", "step-00000004", "step-00000002"]
    assert (tmp_path / "latest").resolve().name == "step-00000005"


def test_damaged_ones_do_not_count_and_what_was_just_written_stays(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, _checkpoint(step))
    for step in (2, 3):
        (tmp_path / f"step-0000000{step}" / TRAINING).write_bytes(b"cut")
    prune(tmp_path, keep=1, best=None, written=())
    assert newest_intact(tmp_path) == tmp_path / "step-00000001"
    write_checkpoint(tmp_path, _checkpoint(4))
    (tmp_path / "step-00000002" / "notes.txt").write_text("mine")
    prune(tmp_path, keep=1, best=None, written=["step-00000004"])
    assert [path.name for path in all_checkpoints(tmp_path)] == ["step-00000004", "step-00000002"]
    assert (tmp_path / "step-00000002" / "notes.txt").read_text() == "mine"


def test_a_run_that_goes_back_sets_later_ones_aside(tmp_path: Path) -> None:
    paths = {step: write_checkpoint(tmp_path, _checkpoint(step)) for step in (1, 2, 3)}
    point(tmp_path, "latest", paths[3])
    point(tmp_path, "best", paths[3])
    assert [path.parent.name for path in set_aside(tmp_path, paths[2])] == ["aside-1"]
    assert (tmp_path / "latest").resolve() == paths[2]
    assert not (tmp_path / "best").is_symlink()
    assert damage_of(tmp_path / "aside-1" / paths[3].name) is None
    assert set_aside(tmp_path, paths[2]) == []
    elsewhere = write_checkpoint(_made(tmp_path / "other"), _checkpoint(9))
    assert {path.parent.name for path in set_aside(tmp_path, elsewhere)} == {"aside-2"}
    assert all_checkpoints(tmp_path) == []
    assert not (tmp_path / "latest").is_symlink()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_full_disk_while_torch_writes_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "wb", buffering=0) as file:
        save_with_torch({"a": torch.zeros(10_000)}, file)
    with open(tmp_path / "whole", "wb") as file:
        save_with_torch({"a": torch.arange(3)}, file)
    assert torch.load(tmp_path / "whole", weights_only=True)["a"].tolist() == [0, 1, 2]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Panoptic3dError, match=r"cannot be written .*goes on from the checkpoint before"):
        write_checkpoint(tmp_path / "nowhere", _checkpoint(1))
    with pytest.raises(InputError, match="no folder with an intact one"):
        find_checkpoint(str(tmp_path))
