"""Depth that is handed to an evaluation, and how its result says so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from panoptic3d.data.given_depths import DepthOptions
from panoptic3d.data.sensor_faults import SensorFaults, with_sensor_faults
from panoptic3d.engine.evaluation.depth_supply import DepthFolder, TrueDepth, depth_supply
from panoptic3d.engine.evaluation.tables import depth_source
from panoptic3d.errors import InputError
from tests.data.conftest import make_sample

NO_FAULT = SensorFaults(
    scale=(1.0, 1.0), step_per_m2=(0, 0), edge_px=(0, 0), glass=(0, 0), border=(0, 0), blur_px=(0, 0)
)


def _room() -> torch.Tensor:
    depth = torch.full((60, 80), 4.0)
    depth[20:40, 30:50] = 2.0
    depth[:3] = 0.0
    return depth


def _faulty(seed: int = 0, **limits: tuple[float, float]) -> torch.Tensor:
    return with_sensor_faults(_room(), NO_FAULT.model_copy(update=limits), torch.Generator().manual_seed(seed))


def test_each_fault_does_what_it_says_and_nothing_else() -> None:
    room = _room()
    assert torch.equal(_faulty(), room)
    torch.testing.assert_close(_faulty(scale=(1.1, 1.1)), 1.1 * room)
    edges = _faulty(edge_px=(1.0, 1.0))
    lost = (edges == 0) & (room > 0)
    assert bool(lost[19, 40])
    assert bool(lost[20, 40])
    assert not bool(lost[22, 40])
    assert float((_faulty(glass=(0.1, 0.1)) == 0).float().mean()) == pytest.approx(0.05 + 0.1, abs=0.03)
    border = _faulty(border=(0.05, 0.05))
    assert bool((border[:, :4] == 0).all())
    assert bool((border[5:55, 6:70] > 0).all())
    steps = _faulty(step_per_m2=(0.003, 0.003))
    assert float((steps - room).abs().max()) <= 0.003 * 16 / 2 * 1.1
    assert float((_faulty(blur_px=(1.0, 1.0)) - room).abs()[22:38, 32:48].max()) < 1e-6


def test_the_same_draw_gives_the_same_faults_and_another_gives_others() -> None:
    every = SensorFaults().model_dump()
    assert torch.equal(_faulty(3, **every), _faulty(3, **every))
    assert not torch.equal(_faulty(3, **every), _faulty(4, **every))


def test_true_depth_is_the_samples(tmp_path: Path) -> None:
    sample = make_sample()
    given = TrueDepth().of(sample)
    known = sample.depth_m > 0
    assert torch.equal(given.values[known], sample.depth_m[known])
    assert bool(given.values[~known].isnan().all())
    assert TrueDepth().facts != TrueDepth(SensorFaults()).facts
    np.save(tmp_path / f"{sample.scene}_{sample.frame}.npy", sample.depth_m.numpy())
    folder = depth_supply(str(tmp_path), DepthOptions())
    assert isinstance(folder, DepthFolder)
    facts = folder.facts
    (tmp_path / "late.npy").write_bytes(b"x")
    assert folder.facts == facts  # its files are listed once, and not for every sample
    assert depth_supply(str(tmp_path), DepthOptions()).facts != facts
    assert torch.equal(folder.of(sample).values.nan_to_num(), given.values.nan_to_num())
    with pytest.raises(InputError, match="no depth of"):
        folder.of(replace(sample, frame="0099"))
    for word, options in (("nowhere", DepthOptions()), ("truth", DepthOptions("affine"))):
        with pytest.raises(InputError):
            depth_supply(word, options)


def test_a_result_with_depth_says_so() -> None:
    assert depth_source({}) is None
    assert depth_source({"depth": None}) is None
    assert depth_source({"depth": TrueDepth().facts}) == "truth"
