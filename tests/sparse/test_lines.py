"""Rows in lines: a voxel's row holds what is in front of it, itself and what is behind it along k."""

import pytest
import torch

from panoptic3d.sparse import Kernel, SparseConfig, conv, make_plan, voxels_of_mask
from panoptic3d.sparse.torch.line_taps import lined_rows
from panoptic3d.sparse.torch.work_order import work_order


@pytest.mark.parametrize("occupancy", [0.0, 0.1, 0.5, 1.0])
def test_a_row_holds_its_neighbours_along_the_last_axis(occupancy: float) -> None:
    mask = torch.rand(2, 3, 4, 9, generator=torch.Generator().manual_seed(0)) < occupancy
    voxels = voxels_of_mask(mask)
    lines = lined_rows(voxels)
    if not len(voxels):
        assert lines.num_places == 0
        return
    features = torch.arange(1.0, len(voxels) + 1)[:, None]
    volume = torch.zeros(2, 3, 4, 11)
    volume[:, :, :, 1:-1][mask] = features[:, 0]
    member, i, j, k = voxels.coords.long().unbind(1)
    expected = torch.stack([volume[member, i, j, k + step] for step in range(3)], dim=1)
    assert torch.equal(lines.spread(features)[lines.places - 1], expected)


def test_lines_and_single_taps_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    voxels = voxels_of_mask(torch.rand(2, 8, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5)
    features = torch.randn(len(voxels), 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(27, 3, 5, dtype=torch.float64, requires_grad=True)
    outcomes = []
    for least_fill in (0.0, 2.0):
        monkeypatch.setattr("panoptic3d.sparse.torch.work_order.least_fill_of_lines", lambda _, least=least_fill: least)
        plan = make_plan(voxels, voxels, Kernel(3), SparseConfig(dense_from_occupancy=None))
        assert (work_order(plan, "coarse", 3, 5).lines is not None) == (least_fill == 0)
        out = conv(features, weight, plan)
        outcomes.append((out, *torch.autograd.grad(out.sin().sum(), (features, weight))))
    for lined, single in zip(*outcomes, strict=True):
        torch.testing.assert_close(lined, single)
