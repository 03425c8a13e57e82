"""The released files, against the numbers that the reference code gave for them (panorecon 2.2, uni3d 12.1)."""

from pathlib import Path

import pytest
import torch

from panoptic3d.data.front3d import read_front3d_sample
from panoptic3d.data.matterport import list_matterport_keys, read_matterport_sample
from panoptic3d.structures.sample import Sample

pytestmark = pytest.mark.real
MATTERPORT_FRAME = "4e8783c34d27454e95c4bedd4f62154f_1_4"


@pytest.fixture(scope="module")
def front_0007(real_root: Path) -> Sample:
    return read_front3d_sample(real_root / "front3d", "official-sample", "0007")


@pytest.fixture(scope="module")
def matterport(real_root: Path) -> Sample:
    return read_matterport_sample(real_root, "matterport-sample", MATTERPORT_FRAME)


def test_front_sample_0007(front_0007: Sample) -> None:
    truth = front_0007.truth
    assert truth is not None
    assert int((truth.distance_vox < 3).sum()) == 161_105
    assert int((truth.semantic != 0).sum()) == 65_740
    assert {stride: int(cells.sum()) for stride, cells in truth.coarse_occupancy.items()} == {2: 32_510, 4: 4_683}
    assert int(truth.dense_weight().sum(dtype=torch.int64)) == 20_282_163
    assert int(truth.frustum_mask.sum()) == 2_659_390
    assert bool(truth.frustum_mask.flatten()[truth.linear_index.long()].all())
    assert int(front_0007.image.sum(dtype=torch.int64)) == 34_167_994
    assert float(front_0007.depth_m.double().sum()) == pytest.approx(178_368.1181, abs=1e-3)


def test_matterport_sample(real_root: Path, matterport: Sample) -> None:
    truth = matterport.truth
    assert truth is not None
    assert list_matterport_keys(real_root) == [f"matterport-sample/{MATTERPORT_FRAME}"]
    assert int((truth.distance_vox.abs() < 3).sum()) == 196_467
    assert bool((truth.distance_vox < 0).any())
    assert {stride: int(cells.sum()) for stride, cells in truth.coarse_occupancy.items()} == {2: 45_600, 4: 6_697}
    assert int(truth.dense_weight().sum(dtype=torch.int64)) == 22_843_317
    assert int(truth.frustum_mask.sum()) == 3_000_069
    assert int(matterport.image.sum(dtype=torch.int64)) == 24_917_798
    assert float(matterport.depth_m.double().sum()) == pytest.approx(288_228.5903, abs=1e-2)
    assert matterport.camera.fx_px == pytest.approx(269.42)
