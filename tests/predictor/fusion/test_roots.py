"""A whole root through `fuse --data` and `evaluate --fused`, with the truth in the place of a network."""

import json
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from panoptic3d.cli.main import main
from panoptic3d.data.fused import FusedRoom, open_fused, write_fused_index, write_fused_room
from panoptic3d.data.roots import DataRoot, open_root
from panoptic3d.data.splits import split_of_keys
from panoptic3d.engine.evaluation.fused import FusedPredictions, scene_scores
from panoptic3d.errors import InputError
from panoptic3d.predictor.fusion.roots import fuse_root, num_rooms
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.scene import PanopticScene
from tests.data.conftest import GRID


class _Perfect:
    """Knows the truth of each photo by its pixels."""

    def __init__(self, known: dict[bytes, PanopticScene]) -> None:
        self._known = known
        self.checkpoint = {"name": "truth"}

    def view_of(self, camera: Camera) -> Camera:
        return camera

    def scenes(self, images: Tensor, cameras: list[Camera]) -> list[PanopticScene]:
        return [self._known[image.numpy().tobytes()] for image in images]


@pytest.mark.slow
def test_the_truth_of_views_makes_the_truth_of_the_room(tmp_path: Path) -> None:
    rooms = tmp_path / "rooms"
    assert main(["data", "generate", "--out", str(rooms), "--num", "3", "--views", "3", "--workers", "1"]) == 0
    data = open_root(rooms)
    split = data.split(None)
    known = {}
    for key in split.keys:
        sample = data.read(key)
        assert sample.truth is not None
        known[sample.image.numpy().tobytes()] = PanopticScene.from_truth(sample.truth, sample.camera)
    out = tmp_path / "fused"
    assert len(list(fuse_root(data, split, 2, out, lambda: _Perfect(known)))) == num_rooms(split, 2) == 1
    made = {path.name: path.stat().st_mtime_ns for path in out.glob("*.npz")}
    assert len(list(fuse_root(data, split, 2, out, lambda: _Perfect({})))) == 1  # it is there, and nobody is asked
    assert made == {path.name: path.stat().st_mtime_ns for path in out.glob("*.npz")}
    with pytest.raises(InputError, match="in another way"):
        list(fuse_root(data, split, 1, out, lambda: _Perfect({})))
    (room,) = open_fused(out).rooms.values()
    assert (len(room.frames), len(room.held_out)) == (2, 1)
    scores = scene_scores(FusedPredictions(out), data, split, None)
    assert scores["fused"]["pq_scene"] > 0.8
    listed = tmp_path / "all.txt"
    listed.write_text("\n".join(split.keys) + "\n")
    words = ["evaluate", "--data", str(rooms), "--split", str(listed), "--fused", str(out), "--workers", "1"]
    assert main([*words, "--json", str(tmp_path / "r.json")]) == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["fusion"]["views"]["fused"]["prq"] > 0.85
    assert result["fusion"]["scene"]["fused"]["pq_scene"] == pytest.approx(scores["fused"]["pq_scene"])


_GRID = VoxelGrid((8, 8, 8), 0.03, (3.5, 3.5, -9.5))


def _floor(level: int) -> PanopticScene:
    distance = (torch.arange(8) - level).abs().clamp(max=3).float()[None, :, None].expand(8, 8, 8).contiguous()
    none = torch.zeros(8, 8, 8, dtype=torch.int32)
    return PanopticScene(distance, none.byte(), none, Camera.from_fov(60, 64, 48), _GRID)


def test_files_of_fused_rooms_that_change_or_break(tmp_path: Path) -> None:
    room = FusedRoom("a", ("0001",), ("0002",), _GRID, torch.eye(4, dtype=torch.float64))
    write_fused_index(tmp_path, [room], {})
    predictions = FusedPredictions(tmp_path)
    for level in (2, 5):
        write_fused_room(tmp_path, _floor(level), room)
        os.utime(tmp_path / "a.npz", (level, level))  # however coarse the clock of the file system is
        assert bool((predictions.scene("a").distance_vox[:, level] == 0).all())
    (tmp_path / "a.npz").write_bytes(b"")
    data, split = DataRoot(tmp_path, "front3d"), split_of_keys("all", ["a/0001", "a/0002"])
    scores = scene_scores(predictions, data, split, None)
    assert scores["fused"]["rooms"] == scores["held_out"]["rooms"] == {"a": 0.0}
    more = split_of_keys("all", ["a/0001", "a/0002", "b/0001"])
    assert scene_scores(predictions, data, more, None)["fused"]["rooms"] == {"a": 0.0, "b": 0.0}
    assert scene_scores(predictions, data, split, None, {"a/0002"}).keys() == {"compat", "fused"}


def test_a_room_with_too_few_views_is_refused(tmp_path: Path) -> None:
    split = split_of_keys("all", ["a/0001", "a/0002", "b/0001"])
    assert num_rooms(split, 1) == 2
    with pytest.raises(InputError, match="1 of 2 rooms have fewer than 2 views"):
        num_rooms(split, 2)
    with pytest.raises(InputError, match=r"holds no fused\.json"):
        open_fused(tmp_path)
    write_fused_index(tmp_path, [FusedRoom("a", (), (), _GRID, torch.zeros(4, 4, dtype=torch.float64))], {})
    with pytest.raises(InputError, match="no rotation and translation"):
        open_fused(tmp_path)
    (tmp_path / "fused.json").write_text('{"format": "other"}')
    with pytest.raises(InputError, match="the format 'other'"):
        open_fused(tmp_path)


def test_a_folder_with_anything_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("mine")
    split = split_of_keys("all", ["a/0001"])
    with pytest.raises(InputError, match="is not empty"):
        list(fuse_root(DataRoot(tmp_path, "packed", grid=GRID), split, 1, tmp_path, lambda: _Perfect({})))
    assert (tmp_path / "a.npz").read_text() == "mine"
