"""What the tables attack, made once."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from panoptic3d.data.packed.sample import encode_sample
from panoptic3d.models.clearview.build import build_clearview
from panoptic3d.models.clearview.config import ClearviewConfig, NeckConfig, RayConfig, VoxelNetConfig
from tests.data.conftest import make_sample
from tests.predictor.echo import Echo


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that answers at once: what is tried is all around it."""
    monkeypatch.setattr("panoptic3d.predictor.predictor.open_network", lambda *_: Echo())


@pytest.fixture(scope="session")
def packed_bytes() -> bytes:
    """A packed sample `room/0000` with a mask of its own."""
    return encode_sample(make_sample(), depth_steps_per_m=5000, has_own_mask=True, level=1)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    small = VoxelNetConfig(channels_64=(8, 8, 8), channels_128=8, channels_256=8)
    config = ClearviewConfig(neck=NeckConfig(width=16), rays=RayConfig(width=8), voxel_net=small)
    torch.manual_seed(0)
    save_file(build_clearview(config).state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(json.loads(config.model_dump_json())))
    return folder
