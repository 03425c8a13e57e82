"""The whole way with a checkpoint that nobody has trained: what it says is nonsense, and all that is around it is real."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import panoptic3d
from panoptic3d.cli.main import main
from panoptic3d.errors import InputError
from panoptic3d.models.checkpoints.find import find_checkpoint
from panoptic3d.predictor.cameras import GivenCamera
from panoptic3d.predictor.predictor import Predictor
from panoptic3d.structures.scene import PanopticScene
from tests.predictor.hostile import GOOD, picture
from tests.predictor.untrained import make_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "untrained")


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return Predictor(checkpoint, device="cpu")


def _noise(seed: int, height: int = 240, width: int = 320) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 8, generator=random)
    return (torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[0] * 255).byte()


def _photo(seed: int, height: int = 240, width: int = 320) -> torch.Tensor:
    return _noise(seed, height, width).permute(1, 2, 0)


def _same(a: PanopticScene, b: PanopticScene) -> bool:
    volumes = ((a.distance_vox, b.distance_vox), (a.semantic, b.semantic), (a.instance, b.instance))
    return all(torch.equal(x, y) for x, y in volumes) and a.scores == b.scores


def test_the_same_photo_gives_the_same_bits(predictor: Predictor, checkpoint: Path) -> None:
    scene = predictor(_photo(0))
    assert len(scene.segments) > 2
    assert any(segment.is_thing and segment.score for segment in scene.segments)
    assert _same(scene, panoptic3d.predict(_photo(0), checkpoint=checkpoint, device="cpu"))


def test_a_batch_of_eight_is_eight_alone(predictor: Predictor) -> None:
    sizes = [(240, 320), (320, 240), (200, 300), (240, 320)] * 2
    photos = [_photo(seed, *size) for seed, size in enumerate(sizes)]
    together = predictor.batch(photos, GivenCamera(fov_deg=60.0))
    for photo, scene in zip(photos[:2], together, strict=False):
        alone = predictor(photo, fov_deg=60.0)
        torch.testing.assert_close(scene.distance_vox, alone.distance_vox, atol=1e-5, rtol=0)
        assert torch.equal(scene.semantic, alone.semantic)
        assert torch.equal(scene.instance, alone.instance)


def test_a_photo_through_the_command_line(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    photo = GOOD["spaces and emoji"](tmp_path)
    words = ["predict", str(photo), "--out", str(tmp_path / "out"), "--checkpoint", str(checkpoint), "--device", "cpu"]
    assert main(words) == 0
    folder = tmp_path / "out" / photo.stem
    assert {p.name for p in folder.iterdir()} == {"scene.npz", "scene.glb", "scene.json", "preview.png", "index.html"}
    facts = json.loads((folder / "scene.json").read_text())
    assert facts["checkpoint"]["name"] == "untrained"
    assert len(facts["checkpoint"]["sha256"]) == 64
    assert {"load", "network", "preview"} <= set(facts["seconds"])
    assert main(words) == 0
    assert "was there already" in capsys.readouterr().out


def test_the_published_mode_gets_the_photo_as_it_is(tmp_path: Path) -> None:
    faithful = Predictor(make_checkpoint(tmp_path / "faithful", "faithful"), device="cpu")
    camera = panoptic3d.Camera.from_fov(60.0, 500, 300)
    assert faithful.network.view_of(camera) == camera
    assert faithful(_photo(0, 300, 500)).camera.width == 500


def test_ranks_share_a_folder_and_the_exit_code_tells_of_the_bad_one(checkpoint: Path, tmp_path: Path) -> None:
    photos = tmp_path / "in"
    photos.mkdir()
    for name in ("a.png", "c.png"):
        picture(64, 48).save(photos / name)
    (photos / "b.png").write_bytes(b"no photo")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "panoptic3d", "predict", str(photos), "--out", str(tmp_path / "out"), "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [*command, "--checkpoint", str(checkpoint)], capture_output=True, text=True, env=environment, check=False
    )
    assert result.returncode == 1
    assert "2 made, 0 were there already, 1 failed" in result.stdout
    lines = [json.loads(line) for line in (tmp_path / "out" / "index.jsonl").read_text().splitlines()]
    assert [line["scene"] for line in lines] == ["a", None, "c"]


def test_a_folder_under_weights_is_shipped(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(checkpoint, tmp_path / "weights" / "small")
    monkeypatch.setattr("panoptic3d.models.checkpoints.find.weights_folder", lambda: tmp_path / "weights")
    assert find_checkpoint(None) == find_checkpoint("small") == tmp_path / "weights" / "small"
    shutil.copytree(checkpoint, tmp_path / "weights" / "large")
    (tmp_path / "weights" / "DEFAULT").write_text("large\n")
    assert find_checkpoint(None).name == "large"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_itself_to_the_bit_and_with_the_cpu_in_tolerance(
    predictor: Predictor, checkpoint: Path
) -> None:
    on_cuda = Predictor(checkpoint, device="cuda")
    scene, again, on_cpu = on_cuda(_photo(0)), on_cuda(_photo(0)), predictor(_photo(0))
    assert _same(scene, again)
    near = (scene.distance_vox < 3) | (on_cpu.distance_vox < 3)
    difference = (scene.distance_vox - on_cpu.distance_vox).abs()[near]
    assert float((difference < 0.05).float().mean()) > 0.95  # the trunk runs in bfloat16 there


def test_a_method_that_finds_things_in_the_image_refuses_tta(checkpoint: Path) -> None:
    with pytest.raises(InputError, match="leave --tta out"):
        Predictor(checkpoint, device="cpu", tta=True)(_photo(0))
