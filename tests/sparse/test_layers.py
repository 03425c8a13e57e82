"""Layers: weights between layouts, blocks, and the U-Net that makes and prunes voxels."""

import pytest
import torch
import torch.nn.functional as F

from panoptic3d.config import validate_config
from panoptic3d.errors import ConfigError
from panoptic3d.sparse import Kernel, PlanBook, coarsened, conv, make_plan, to_dense, voxels_of_mask
from panoptic3d.sparse.layers.blocks import ResidualBlock
from panoptic3d.sparse.layers.convolution import SparseConv3d
from panoptic3d.sparse.layers.norms import SparseBatchNorm
from panoptic3d.sparse.layers.unet import SparseUNet, SparseUNetConfig
from panoptic3d.sparse.weights import (
    from_dense_weight,
    from_minkowski,
    from_warpconvnet,
    to_dense_transposed_weight,
    to_dense_weight,
    to_minkowski,
    to_warpconvnet,
)
from panoptic3d.structures.sparse_voxels import SparseVoxels


def _voxels(size: int = 8, occupancy: float = 0.2, seed: int = 0) -> SparseVoxels:
    generator = torch.Generator().manual_seed(seed)
    return voxels_of_mask(torch.rand(2, size, size, size, generator=generator) < occupancy)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_weights_convert_losslessly_both_ways(size: int) -> None:
    weight = torch.randn(size**3, 3, 2)
    assert torch.equal(from_minkowski(to_minkowski(weight)), weight)
    assert torch.equal(from_warpconvnet(to_warpconvnet(weight)), weight)
    assert torch.equal(from_dense_weight(to_dense_weight(weight)), weight)
    assert torch.equal(to_dense_transposed_weight(weight), to_dense_weight(weight).transpose(0, 1))


def test_tap_orders_are_those_that_were_measured() -> None:
    """MinkowskiEngine counts the first axis fastest; WarpConvNet counts its taps backwards; ours is dense C order."""
    taps = torch.arange(27.0)[:, None, None]
    kernel = to_minkowski(taps)[:, 0, 0]
    for x, y, z in ((0, 0, 1), (1, 2, 0), (2, 0, 0)):
        assert kernel[x + 3 * y + 9 * z] == to_dense_weight(taps)[0, 0, x, y, z] == 9 * x + 3 * y + z
    assert torch.equal(to_warpconvnet(taps), to_minkowski(taps).flip(0))
    assert to_minkowski(torch.zeros(1, 4, 5)).shape == (4, 5)


def test_a_minkowski_kernel_convolves_as_its_definition_says() -> None:
    """`out(p) = sum W[kx + K ky + K^2 kz] x(p + offset)`, even sizes from offset 0 on."""
    voxels = voxels_of_mask(torch.ones(1, 6, 6, 6, dtype=torch.bool))
    coarse = coarsened(voxels, 2)
    kernel = torch.randn(64, 2, 3, dtype=torch.float64)
    features = torch.randn(len(voxels), 2, dtype=torch.float64)
    plan = make_plan(voxels, coarse, Kernel(4, 2, convention="minkowski"))
    out = conv(features, from_minkowski(kernel), plan)
    volume = to_dense(features, voxels)[0]
    row = coarse.coords.tolist().index([0, 1, 0, 1])
    want = sum(
        volume[:, 2 + x, y, 2 + z] @ kernel[x + 4 * y + 16 * z] for x in range(4) for y in range(4) for z in range(4)
    )
    torch.testing.assert_close(out[row], want)


@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
@pytest.mark.parametrize("stride", [1, 2])
def test_blocks_send_gradients_to_every_weight(norm: str, stride: int) -> None:
    fine = _voxels()
    target = coarsened(fine, stride)
    layer = ResidualBlock(3, 8, stride, norm)
    out = layer(torch.randn(len(fine), 3), fine, target, PlanBook())
    assert out.shape == (len(target), 8)
    (out * torch.randn_like(out)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


def test_a_block_keeps_its_plans_in_the_book() -> None:
    voxels, book = _voxels(), PlanBook()
    features = torch.randn(len(voxels), 8)
    for _ in range(3):
        features = ResidualBlock(8, 8)(features, voxels, voxels, book)
    assert len(book) == 1


def test_batch_norm_learns_the_statistics_that_it_evaluates_with() -> None:
    voxels = _voxels()
    norm = SparseBatchNorm(3)
    features = torch.randn(len(voxels), 3) * 5 + 2
    for _ in range(80):
        trained = norm(features, voxels)
    torch.testing.assert_close(norm.eval()(features, voxels), trained, rtol=2e-2, atol=2e-2)


def _unet(**settings: object) -> SparseUNet:
    torch.manual_seed(0)
    return SparseUNet(SparseUNetConfig.model_validate({"num_in": 4, "channels": (8, 12, 16), **settings}))


def test_unet_returns_to_the_voxels_that_it_was_given() -> None:
    voxels = _voxels()
    levels = _unet()(torch.randn(len(voxels), 4), voxels)
    assert [level.voxels.stride for level in levels] == [1, 2, 4]
    assert levels[0].voxels is voxels
    assert levels[0].features.shape == (len(voxels), 8)
    assert levels[0].occupancy_logit is None


def test_unet_makes_voxels_and_keeps_what_the_caller_decides() -> None:
    voxels = _voxels(occupancy=0.05)
    net = _unet(generate=(True, True), prune=(True, True))

    def keep_low_i(candidates: SparseVoxels, logit: torch.Tensor) -> torch.Tensor:
        assert logit.shape == (len(candidates),)
        return candidates.coords[:, 1] < 2

    fine, middle, _ = net(torch.randn(len(voxels), 4), voxels, decide=keep_low_i)
    for level, skip in ((fine, voxels), (middle, coarsened(voxels, 2))):
        own = {tuple(c) for c in level.voxels.coords.tolist()}
        kept = {tuple(c) for c in level.candidates.coords.tolist() if c[1] < 2}
        assert own == kept | {tuple(c) for c in skip.coords.tolist()}
    assert len(fine.voxels) > len(voxels)
    assert fine.voxels.coords[:, 1:].max() < 8


def test_unet_without_a_voxel_left_still_answers() -> None:
    voxels = _voxels()
    net = _unet(prune=(True, True))
    levels = net(torch.randn(len(voxels), 4), voxels, decide=lambda v, logit: torch.zeros(len(v), dtype=torch.bool))
    assert len(levels[0].voxels) == 0
    nothing = SparseVoxels(voxels.coords[:0], 2, voxels.shape)
    assert net(torch.zeros(0, 4), nothing)[0].features.shape == (0, 8)


@pytest.mark.slow
def test_unet_learns_to_overfit_a_tiny_scene() -> None:
    voxels = _voxels()
    net = _unet(norm="batch")
    features, target = torch.randn(len(voxels), 4), torch.randn(len(voxels), 8)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        loss = F.mse_loss(net(features, voxels)[0].features, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_the_same_seed_gives_the_same_training_step_to_the_bit() -> None:
    voxels = _voxels()

    def step() -> list[torch.Tensor]:
        net = _unet(generate=(True, True), prune=(True, True))
        generator = torch.Generator().manual_seed(1)
        levels = net(torch.randn(len(voxels), 4, generator=generator), voxels)
        sum(level.features.square().sum() for level in levels).backward()
        return [p.grad for p in net.parameters() if p.grad is not None]

    assert all(torch.equal(a, b) for a, b in zip(step(), step(), strict=True))


def test_unet_config_wants_one_flag_per_climb() -> None:
    with pytest.raises(ConfigError, match="`generate` has 1 entries; give none or 2"):
        validate_config(SparseUNetConfig, {"num_in": 1, "generate": [True], "channels": [1, 2, 3]}, origin="a test")


def test_kernels_start_within_their_bound() -> None:
    layer = SparseConv3d(4, 8, Kernel(3))
    assert layer.weight.abs().max() <= (4 * 27) ** -0.5
