"""A sparse level read at finer voxels is a dense resize of it."""

import pytest
import torch
import torch.nn.functional as F

from panoptic3d.sparse import mirrored, to_dense, voxel_set
from panoptic3d.sparse.resampling import Placement, resampled, resampled_box, resampling_mix
from panoptic3d.structures.sparse_voxels import SparseVoxels


def level(num: int, seed: int = 0) -> tuple[torch.Tensor, SparseVoxels]:
    random = torch.Generator().manual_seed(seed)
    cells = torch.randint(0, 8, (num, 3), generator=random)
    members = torch.randint(0, 2, (num, 1), generator=random)
    voxels = voxel_set(torch.cat((members, cells), dim=1).int(), 2, (8, 8, 8), stride=2)
    return torch.randn(len(voxels), 3, generator=random, dtype=torch.float64), voxels


def dense(features: torch.Tensor, voxels: SparseVoxels, fill: float, placement: Placement) -> torch.Tensor:
    volume = to_dense(features, voxels, fill)
    return F.interpolate(volume, scale_factor=2, mode="trilinear", align_corners=placement == "corners")


@pytest.mark.parametrize("placement", ["corners", "centres"])
@pytest.mark.parametrize("num", [0, 1, 5, 60, 4000])
def test_twins_of_a_dense_resize(placement: Placement, num: int) -> None:
    features, voxels = level(num)
    wanted = dense(features, voxels, -1.5, placement)
    box, origin = resampled_box(features, voxels, -1.5, placement)
    whole = torch.full_like(wanted, -1.5)
    i, j, k = (slice(a, a + n) for a, n in zip(origin, box.shape[2:], strict=True))
    whole[:, :, i, j, k] = box
    torch.testing.assert_close(whole, wanted)
    cells = torch.ones(2, 16, 16, 16).nonzero()
    rows = resampled(features, resampling_mix(voxels, cells, placement), -1.5)
    torch.testing.assert_close(rows.float(), wanted.movedim(1, -1).reshape(-1, 3).float(), atol=1e-5, rtol=1e-5)


def test_gradients_reach_the_rows_that_are_read() -> None:
    features, voxels = level(40)
    features = features.float().requires_grad_()
    cells = torch.ones(2, 16, 16, 16).nonzero()[::7]
    resampled(features, resampling_mix(voxels, cells, "corners"), 2.0).square().sum().backward()
    twin = features.detach().clone().requires_grad_()
    whole = dense(twin, voxels, 2.0, "corners")
    member, i, j, k = cells.unbind(1)
    whole[member, :, i, j, k].square().sum().backward()
    torch.testing.assert_close(features.grad, twin.grad, atol=1e-4, rtol=1e-4)


def test_a_set_seen_in_a_mirror() -> None:
    features, voxels = level(50)
    turned, rows = mirrored(voxels, (0, 1))
    assert torch.equal(to_dense(features[rows], turned), to_dense(features, voxels).flip(2, 3))
    again, back = mirrored(turned, (0, 1))
    assert torch.equal(again.coords, voxels.coords)
    assert torch.equal(rows[back], torch.arange(len(voxels)))
