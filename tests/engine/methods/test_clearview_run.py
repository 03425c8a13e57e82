"""Our own method as a run of the command line: what only shows with the loop around it."""

import json
import math
from pathlib import Path

import pytest
import torch

from panoptic3d.cli.main import main
from panoptic3d.data.dataset import open_dataset
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.structures.batch import collate


@pytest.mark.slow
def test_the_debug_config_trains_by_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Path(__file__).parents[3]
    monkeypatch.chdir(repository)
    stages = "[{name: maps, steps: 2, train: [2d]}, {name: joint, steps: 2}]"
    words = [
        "--folder",
        str(tmp_path / "run"),
        "--stages",
        stages,
        "--settings.steps_64",
        "1",
        "--validation.every",
        "4",
    ]
    assert main(["train", str(repository / "configs" / "clearview" / "debug.yaml"), *words, "--log_every", "1"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "train/loss" in line]
    assert all(math.isfinite(line["train/loss"]) for line in steps)
    assert "train/occupancy_64" not in steps[1]
    assert "train/occupancy_64" in steps[2]
    assert "train/shell" not in steps[2]
    assert "train/shell" in steps[3]
    network = load_network(tmp_path / "run" / "checkpoints" / "latest")
    batch = collate([open_dataset(repository / "data" / "tiny")[0]])
    with torch.inference_mode():
        (scene,) = network.infer(batch.image, batch.cameras)
    assert scene.distance_vox.shape == (256, 256, 256)
