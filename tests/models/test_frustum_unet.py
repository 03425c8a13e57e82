from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from panoptic3d.models.frustum_unet.blocks import DenseBlock, DenseTail
from panoptic3d.models.frustum_unet.config import FrustumUNetConfig
from panoptic3d.models.frustum_unet.fast_tail import pays, rows_of_tails
from panoptic3d.models.frustum_unet.net import FrustumUNet
from panoptic3d.models.slots import SurfaceLifted
from panoptic3d.sparse.dense import from_dense
from panoptic3d.sparse.torch.dense_winograd import convolved, framed, room_for
from panoptic3d.sparse.voxels import voxels_of_mask
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sparse_voxels import SparseVoxels

SIZE = 64
GRID = VoxelGrid((SIZE,) * 3, 0.03, (0.0, 0.0, 0.0))


def tiny_net(**options: object) -> FrustumUNet:
    torch.manual_seed(0)
    config = FrustumUNetConfig.model_validate(
        {"num_features": 3, "num_instances": 4, "num_classes": 5, "width": 2, **options}
    )
    return FrustumUNet(config).eval()


def lifted(counts: list[int]) -> SurfaceLifted:
    random = torch.Generator().manual_seed(3)
    coords, features = [], []
    for member, count in enumerate(counts):
        cells = torch.randperm(16**3, generator=random)[:count].sort().values
        xyz = torch.stack((cells // 256, cells // 16 % 16, cells % 16), dim=1) + 8
        coords.append(F.pad(xyz, (1, 0), value=member))
        features.append(torch.randn(count, 2 + 3 + 4, generator=random))
    is_in_frustum = torch.zeros(len(counts), SIZE // 4, SIZE // 4, SIZE // 4, dtype=torch.bool)
    is_in_frustum[:, 1:9, 1:9, 1:9] = True
    voxels = SparseVoxels(torch.cat(coords).int(), len(counts), GRID.shape)
    return SurfaceLifted((GRID,) * len(counts), voxels, torch.cat(features), is_in_frustum)


def member_of(batch: SurfaceLifted, member: int) -> SurfaceLifted:
    rows = batch.voxels.coords[:, 0] == member
    coords = batch.voxels.coords[rows].clone()
    coords[:, 0] = 0
    return SurfaceLifted(
        (GRID,), SparseVoxels(coords, 1, GRID.shape), batch.features[rows], batch.is_in_frustum[member : member + 1]
    )


def test_levels_have_rows_for_what_they_say() -> None:
    levels = tiny_net()(lifted([300]))
    assert [level.voxels.stride for level in levels] == [4, 2, 1]
    for level in levels:
        assert len(level.occupancy_logit) == len(level.candidates) == len(level.is_kept)
        assert level.semantic_logits is not None
        assert level.semantic_logits.shape == (len(level.voxels), 5)
        assert level.instance_logits is not None
        assert level.instance_logits.shape == (len(level.voxels), 4)
    assert levels[2].distance_vox.shape == (len(levels[2].voxels),)
    assert len(levels[2].voxels) == int(levels[2].is_kept.sum()) > 0


def test_levels_can_be_left_out() -> None:
    net, batch = tiny_net(), lifted([100])
    assert len(net(batch, up_to_stride=4)) == 1
    assert len(net(batch, up_to_stride=2)) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("even_kernels", "level_64", "mode"),
    [
        ("centred", "frustum", torch.inference_mode),
        ("one-sided", "grid", torch.enable_grad),
        pytest.param("one-sided", "grid", torch.inference_mode, marks=pytest.mark.slow),
        pytest.param("centred", "frustum", torch.enable_grad, marks=pytest.mark.slow),
    ],
)
def test_a_batch_with_an_empty_member_is_its_members(even_kernels: str, level_64: str, mode: type) -> None:
    net, batch = tiny_net(even_kernels=even_kernels, level_64=level_64), lifted([200, 0, 300])
    with mode():
        together = net(batch)
        for member in range(3):
            for a, b in zip(together, net(member_of(batch, member)), strict=True):
                rows = a.voxels.coords[:, 0] == member
                assert torch.equal(a.voxels.coords[rows, 1:], b.voxels.coords[:, 1:])
                tolerance = 0 if mode is torch.inference_mode else 1e-5
                torch.testing.assert_close(a.semantic_logits[rows], b.semantic_logits, atol=tolerance, rtol=0)
                torch.testing.assert_close(a.instance_logits[rows], b.instance_logits, atol=tolerance, rtol=0)


def test_the_last_index_can_be_dropped() -> None:
    batch = lifted([50])
    coords = batch.voxels.coords.clone()
    coords[:, 1:] += SIZE - 24  # up to the border
    moved = SurfaceLifted(batch.grids, SparseVoxels(coords, 1, GRID.shape), batch.features, batch.is_in_frustum)
    kept = tiny_net(last_index="kept")(moved)[-1].candidates.coords
    dropped = tiny_net(last_index="dropped")(moved)[-1].candidates.coords
    assert int(kept[:, 1:].max()) == SIZE - 1
    assert int(dropped[:, 1:].max()) == SIZE - 2


def test_a_frustum_that_is_the_whole_grid_is_the_grid() -> None:
    batch = replace(lifted([200, 100]), is_in_frustum=torch.ones(2, SIZE // 4, SIZE // 4, SIZE // 4, dtype=torch.bool))
    of_grid, of_frustum = (tiny_net(level_64=where)(batch, up_to_stride=4)[0] for where in ("grid", "frustum"))
    torch.testing.assert_close(of_frustum.occupancy_logit, of_grid.occupancy_logit, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(of_frustum.instance_logits, of_grid.instance_logits, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("level_64", ["grid", "frustum"])
def test_every_parameter_learns(level_64: str) -> None:
    net = tiny_net(level_64=level_64)
    levels = net(lifted([300]))
    loss = sum(
        (
            t.square().mean()
            for level in levels
            for t in (level.occupancy_logit, level.semantic_logits, level.instance_logits)
        ),
        levels[2].distance_vox.square().mean(),
    )
    loss.backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("shape", [(8, 8, 8), (9, 6, 7), (1, 2, 3)])
def test_winograd_convolves_as_torch_does(shape: tuple[int, int, int]) -> None:
    random = torch.Generator().manual_seed(0)
    volume = torch.randn(5, *shape, generator=random)
    weight = torch.randn(4, 5, 3, 3, 3, generator=random)
    expected = F.conv3d(volume[None].double(), weight.double(), padding=1)[0]
    found = convolved(framed(volume), weight, room_for(shape, 4))
    torch.testing.assert_close(found.cells.permute(3, 0, 1, 2).double(), expected, atol=2e-4, rtol=0)
    flat = expected.flatten(1)
    torch.testing.assert_close(found.mean, flat.mean(1), atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(found.variance, flat.var(1, correction=0), atol=2e-4, rtol=1e-5)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_fast_heads_say_what_slow_ones_say(num_threads: int) -> None:
    torch.manual_seed(0)
    tails = (DenseTail(6, 4), DenseTail(6, 3))
    volume = torch.randn(2, 6, 9, 8, 7)
    asked = voxels_of_mask(torch.rand(2, 9, 8, 7) < 0.3)
    expected = [from_dense(tail(volume), asked) for tail in tails]
    torch.set_num_threads(num_threads)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            found, again = rows_of_tails(tails, volume, asked), rows_of_tails(tails, volume, asked)
        for a, b, c in zip(found, again, expected, strict=True):
            assert torch.equal(a, b)
            torch.testing.assert_close(a, c, atol=1e-4, rtol=1e-4)


def test_the_fast_way_is_taken_only_where_no_gradient_is_wanted() -> None:
    tail, volume = DenseTail(2, 2), torch.zeros(1, 2, 16, 16, 16)
    assert not pays(volume, tail)
    with torch.no_grad():
        assert pays(volume, tail)
        assert not pays(volume.double(), tail)
        assert not pays(volume[..., :8], tail)
    assert pays(volume, tail.requires_grad_(False))
    assert not pays(volume.requires_grad_(), tail)


def test_a_dense_block_by_tiles_is_the_block() -> None:
    torch.manual_seed(0)
    block, x = DenseBlock(16, 16), torch.randn(2, 16, 11, 12, 13)
    slow = block(x)  # wants gradients: torch's own convolutions
    with torch.no_grad():
        fast = block(x)
    assert not torch.equal(fast, slow)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-4)
