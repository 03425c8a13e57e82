"""Pieces that stand in some photos of a room only."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from panoptic3d.cli.main import main
from panoptic3d.config import fingerprint
from panoptic3d.data.roots import DataRoot, open_root
from panoptic3d.engine.generation.plan import GenerationConfig, GenerationPlan
from panoptic3d.engine.generation.run import run_plan

_ROOM = GenerationConfig(views=2, extra_truth=True)


def _made(out: Path, transients: float) -> DataRoot:
    run_plan(GenerationPlan(_ROOM.model_copy(update={"transients": transients}), 20000000, 2), out)
    return open_root(out)


@pytest.mark.slow
def test_a_share_of_the_photos_shows_what_the_truth_does_not_have(tmp_path: Path) -> None:
    still, lying = _made(tmp_path / "still", 0.0), _made(tmp_path / "lying", 0.5)
    num_lying = 0
    for key in still.keys():  # noqa: SIM118 - a method of roots
        scene, _, frame = key.partition("/")
        one, other = still.read(key), lying.read(key)
        assert one.truth is not None
        assert other.truth is not None
        for name in ("depth_m", "semantic_2d", "instance_2d"):
            assert torch.equal(getattr(one, name), getattr(other, name))
        assert torch.equal(one.truth.linear_index, other.truth.linear_index)
        assert torch.equal(one.truth.semantic, other.truth.semantic)
        with np.load(tmp_path / "lying" / scene / f"extra_{frame}.npz") as stored:
            mask = np.unpackbits(stored["transient"], axis=1, count=320).astype(bool)
        differs = (one.image != other.image).any(dim=0).numpy()
        assert differs.any() == mask.any()
        if mask.any():
            num_lying += 1
            assert 0.02 <= mask.mean() <= 0.4
            assert differs[mask].mean() > 0.95
    assert num_lying == 1
    with np.load(tmp_path / "still" / scene / f"extra_{frame}.npz") as stored:
        assert "transient" not in stored.files


def test_published_fingerprints_stay_where_there_are_none() -> None:
    assert "transients" not in GenerationConfig().model_dump()
    assert fingerprint(_ROOM) != fingerprint(_ROOM.model_copy(update={"transients": 0.3}))
    with pytest.raises(ValidationError, match="extra_truth"):
        GenerationConfig(transients=0.3)


def test_a_share_is_a_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "generate", "--out", str(tmp_path / "out"), "--transients", "1.5"]) == 2
    assert "transients" in capsys.readouterr().err
