"""A method with another filling in a slot, by YAML alone: two steps of training, then the photo of a room to a scene."""

import json
from pathlib import Path

import pytest
from PIL import Image

from panoptic3d.cli import main
from panoptic3d.data.dataset import open_dataset

REPOSITORY = Path(__file__).parents[2]
PANORECON = """
extends: {base}
settings:
  network:
    fit: {{width: 96, height: 64}}
    rays: {{num_climbed: 2, num_fused: 1}}
    panoptic: {{rois: {{width: 16}}}}
    voxel_net: {{width: 1, num_features: 6}}
    {slots}
stages: [{{name: joint, steps: 2}}]
"""
CLEARVIEW = """
extends: {base}
settings:
  network:
    fit: {{width: 96, height: 72}}
    neck: {{width: 16}}
    voxel_net: {{channels_64: [8, 8, 8], channels_128: 8, channels_256: 8}}
    {slots}
stages: [{{name: joint, steps: 2}}]
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "text", "slots"),
    [
        ("panorecon", PANORECON, "trunk: {extends: null, name: resnet50, width: 8}"),
        ("panorecon", PANORECON, "trunk: {extends: null, name: efficientnet-lite0}"),
        ("clearview", CLEARVIEW, "trunk: {extends: null, name: resnet18, width: 16}"),
    ],
)
def test_what_a_yaml_puts_together_trains_and_predicts(
    method: str, text: str, slots: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    (tmp_path / "run.yaml").write_text(text.format(base=REPOSITORY / f"configs/{method}/debug.yaml", slots=slots))
    run = tmp_path / "run"
    words = ["--folder", str(run), "--checkpoint.every", "2", "--validation.every", "0"]
    assert main(["train", str(tmp_path / "run.yaml"), *words]) == 0
    checkpoint = run / "checkpoints" / "latest"
    config = json.loads((checkpoint / "config.json").read_text())
    assert f"name: {config['trunk']['name']}" in slots
    photo = open_dataset(REPOSITORY / "data" / "tiny")[0].image.permute(1, 2, 0).numpy()
    Image.fromarray(photo).save(tmp_path / "photo.png")
    out = tmp_path / "out"
    assert main(["predict", str(tmp_path / "photo.png"), "--checkpoint", str(checkpoint), "--out", str(out)]) == 0
    assert list(out.rglob("scene.npz"))
