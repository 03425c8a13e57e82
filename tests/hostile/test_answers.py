"""Answers that are no numbers and workers that are killed: told in one sentence, counted, and the others go on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

from panoptic3d.cli.main import main
from panoptic3d.data.predictions import PredictedVoxels
from panoptic3d.engine.evaluation.network import NetworkPredictions
from panoptic3d.engine.evaluation.run import carry_out
from panoptic3d.errors import Panoptic3dError, explained_loss_of_workers
from panoptic3d.models.finite import NotFiniteError, checked
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.prediction import Levels, Prediction, SurfaceLevel
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.sparse_voxels import SparseVoxels
from tests.data.conftest import CAMERA
from tests.engine.conftest import Workshop, finished_workshop, workshop  # noqa: F401 - fixtures
from tests.predictor.echo import Echo
from tests.predictor.hostile import picture

NAN, INF = float("nan"), float("inf")


def _prediction(**values: torch.Tensor) -> Prediction:
    coords = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1]], dtype=torch.int32)
    voxels = SparseVoxels(coords, 1, (4, 4, 4))
    given = {
        "occupancy_logit": torch.zeros(2),
        "distance_vox": torch.ones(2),
        "instance_logits": torch.zeros(2, 1),
        "semantic_logits": torch.zeros(2, 3),
        **{name: value for name, value in values.items() if name != "depth_m"},
    }
    level = SurfaceLevel(candidates=voxels, voxels=voxels, is_kept=torch.ones(2, dtype=torch.bool), **given)
    grid = VoxelGrid(shape=(4, 4, 4), voxel_size_m=0.1, camera_index=(2.0, 2.0, 0.0))
    return Prediction((CAMERA,), (grid,), values.get("depth_m", torch.ones(1, 2, 2)), (), Levels((), level))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"depth_m": torch.tensor([[[1.0, NAN], [1.0, 1.0]]])}, "depth is no finite number at 1 of 4"),
        ({"depth_m": torch.full((1, 2, 2), INF)}, "depth is no finite number at 4 of 4"),
        ({"distance_vox": torch.tensor([1.0, INF])}, "distance_vox of level 0"),
        ({"semantic_logits": torch.tensor([[0.0, NAN, 0.0]] * 2)}, "semantic_logits of level 0"),
        ({"occupancy_logit": torch.full((2,), NAN)}, "occupancy_logit of level 0"),
    ],
)
def test_an_answer_that_is_no_number_is_refused(values: dict[str, torch.Tensor], said: str) -> None:
    with pytest.raises(NotFiniteError, match=said):
        checked(_prediction(**values))


def test_what_is_impossible_may_have_a_logit_of_minus_infinity() -> None:
    prediction = _prediction(semantic_logits=torch.tensor([[0.0, -INF, 0.0]] * 2))
    assert checked(prediction) is prediction


class _NoNumber(Echo):
    """A network whose answer to dark photos is no number."""

    def scenes(self, images: torch.Tensor, cameras: Sequence[Camera]) -> list[PanopticScene]:
        if images.float().mean() < 50:
            checked(_prediction(depth_m=torch.full((1, 2, 2), NAN)))
        return super().scenes(images, cameras)


def test_a_photo_whose_answer_is_no_number_fails_and_the_others_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("panoptic3d.predictor.predictor.open_network", lambda *_: _NoNumber())
    (tmp_path / "in").mkdir()
    for name, factor in (("a", 1.0), ("b", 0.05), ("c", 1.0)):
        picture().point(lambda value, factor=factor: int(value * factor)).save(tmp_path / "in" / f"{name}.png")
    assert main(["predict", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 1
    said = capfd.readouterr()
    assert "2 made, 0 were there already, 1 failed" in said.out
    assert "b.png failed: the network's depth is no finite number" in said.err
    lines = [json.loads(line) for line in (tmp_path / "out" / "index.jsonl").read_text().splitlines()]
    assert [line["scene"] for line in lines] == ["a", None, "c"]


def test_an_image_whose_answer_is_no_number_counts_as_nothing_predicted(
    workshop: Workshop,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    checkpoint: Path,
) -> None:
    def predict(self: NetworkPredictions, data: object, key: str) -> PredictedVoxels:
        if key == "a/0001":
            checked(_prediction(distance_vox=torch.tensor([NAN, 1.0])))
        sample = data.read(key)  # pyright: ignore[reportAttributeAccessIssue]
        return PredictedVoxels.from_scene(PanopticScene.from_truth(sample.truth, sample.camera))

    monkeypatch.setattr(NetworkPredictions, "predict", predict)
    order = replace(workshop.order(), predictions=None, checkpoint=str(checkpoint))
    assert carry_out(order) == 0
    result = json.loads((workshop.folder / "out.json").read_text())
    assert (result["num_samples"], result["num_failed"]) == (4, 1)
    assert [(f["key"], f["reason"]) for f in result["failures"]] == [("a/0001", "not_finite")]


@pytest.mark.slow
def test_finite_weights_whose_answer_is_not(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "config.json").write_bytes((checkpoint / "config.json").read_bytes())
    state = load_file(checkpoint / "model.safetensors")
    save_file(
        {name: w * 1e30 if w.is_floating_point() else w for name, w in state.items()}, tmp_path / "model.safetensors"
    )
    picture().save(tmp_path / "a.png")
    words = ["predict", str(tmp_path / "a.png"), "--out", str(tmp_path / "o"), "--checkpoint", str(tmp_path)]
    assert main([*words, "--device", "cpu"]) == 1
    assert "no finite number" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_killed_worker_is_one_sentence() -> None:
    with (
        pytest.raises(Panoptic3dError, match=r"a worker was killed.*with fewer --jobs"),
        explained_loss_of_workers("--jobs"),
    ):
        raise BrokenProcessPool


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "option"),
    [
        (lambda tiny, out: ["data", "pack", str(out / "released"), "--out", str(out / "o"), "--jobs", "2"], "--jobs"),
        (
            lambda tiny, out: [
                *("evaluate", "--data", str(out / "many"), "--split", str(out / "s.txt"), "--predictions", str(out)),
                *("--workers", "2", "--json", str(out / "r.json")),
            ],
            "--workers",
        ),
    ],
    ids=["pack", "evaluate"],
)
def test_a_verb_whose_worker_is_killed(
    words: Callable[[Path, Path], list[str]], option: str, repository: Path, tmp_path: Path
) -> None:
    """A real kill of a real worker."""
    tiny = repository / "data" / "tiny"
    assert main(["data", "pack", str(tiny), "--unpack", "--out", str(tmp_path / "released")]) == 0
    shutil.copytree(tiny, tmp_path / "many")
    keys = [f"box-room-1/{number:04}" for number in range(1, 9)]  # fewer are scored in one process
    for key in keys[1:]:
        shutil.copy(tiny / "box-room-1" / "0001.p3d", tmp_path / "many" / f"{key}.p3d")
    (tmp_path / "s.txt").write_text("".join(f"{key}\n" for key in keys))
    (tmp_path / "box-room-1_0001.npz").write_bytes(b"no prediction")
    call = [sys.executable, "-m", "panoptic3d", *words(tiny, tmp_path)]
    run = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until_s = time.monotonic() + 300
    while run.poll() is None and time.monotonic() < until_s:
        for child in psutil.Process(run.pid).children(recursive=True):
            if "spawn_main" in " ".join(child.cmdline()):
                os.kill(child.pid, signal.SIGKILL)
                until_s = 0
                break
        time.sleep(0.01)
    _, said = run.communicate(timeout=300)
    assert run.returncode == 1, said
    assert f"a worker was killed, most often for want of memory; run the same command again with fewer {option}" in said
    assert "Traceback" not in said
