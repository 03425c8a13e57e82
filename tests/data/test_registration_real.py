"""The released data as measured: the figures of docs/experiments/2026-11-21-released-frames.md."""

from pathlib import Path

import pytest
import torch

from panoptic3d.data.checks import weight_agreement
from panoptic3d.data.front3d import list_front3d_keys, read_front3d_sample
from panoptic3d.data.matterport import list_matterport_keys, read_matterport_sample
from panoptic3d.data.registration import measure_registration
from panoptic3d.geometry.frustum import frustum_mask
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.grid import FRONT3D_GRID, released_grid

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_real_front3d_frames_are_registered(real_root: Path) -> None:
    root = real_root / "front3d"
    measured, weights = [], []
    for key in list_front3d_keys(root):
        sample = read_front3d_sample(root, *key.split("/"))
        assert sample.truth is not None
        measured.append(measure_registration(sample, sample.truth))
        weights.append(weight_agreement(sample, sample.truth))
    pixels = sum(m.num_pixels for m in measured)
    assert sum(m.on_surface * m.num_pixels for m in measured) / pixels >= 0.985
    assert sum(m.class_agreement for m in measured) / len(measured) >= 0.99
    assert sum(m.instance_agreement for m in measured) / len(measured) >= 0.98
    assert min(weights) >= 0.97


def test_the_released_grid_is_the_fitted_one() -> None:
    grid = released_grid(FRONT3D_CAMERA.intrinsics, (320, 240))
    assert torch.tensor(grid.camera_index).allclose(torch.tensor(FRONT3D_GRID.camera_index), atol=0.02)


def test_the_matterport_sample_is_as_documented(real_root: Path) -> None:
    """Its mask fits its camera, its depth does not: the published cy seems to be counted from the bottom."""
    folder = real_root / "matterport-sample"
    key = list_matterport_keys(folder.parent)[0]
    sample = read_matterport_sample(folder.parent, *key.split("/"))
    truth, camera = sample.truth, sample.camera
    assert truth is not None
    grid = truth.grid
    mask = frustum_mask(camera.intrinsics, (320, 240), grid.shape, grid.voxel_size_m, grid.camera_index)
    assert int((mask & truth.frustum_mask).sum()) / int((mask | truth.frustum_mask).sum()) > 0.985
    assert measure_registration(sample, truth).on_surface < 0.45
