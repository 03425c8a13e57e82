"""Operations over voxels beside convolution: twins of dense or plain loops, and gradients in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from panoptic3d.sparse import (
    Kernel,
    SparseConfig,
    batch_norm,
    coarsened,
    conv,
    conv_transpose,
    from_dense,
    from_parent,
    generated,
    global_pool,
    image_features_at,
    instance_norm,
    interpolated,
    join,
    make_plan,
    meet,
    moved_onto,
    pool,
    prune,
    scatter,
    to_dense,
    unpool,
    upsampled,
    voxels_of_mask,
)
from panoptic3d.sparse.torch.dispatch import Widths, chosen
from panoptic3d.structures.sparse_voxels import SparseVoxels


def _voxels(seed: int = 0, occupancy: float = 0.3, size: int = 4) -> SparseVoxels:
    mask = torch.rand(3, size, size, size, generator=torch.Generator().manual_seed(seed)) < occupancy
    mask[1] = False
    mask[0, 0, 0, 0] = mask[2, -1, -1, -1] = True  # on the border
    return voxels_of_mask(mask)


def _features(voxels: SparseVoxels, channels: int = 2, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(voxels), channels, dtype=torch.float64, generator=generator, requires_grad=True)


@pytest.mark.parametrize(
    "kernel", [Kernel(3), Kernel(2, 2), Kernel(3, 2), Kernel(4, 2, convention="minkowski")], ids=str
)
def test_gradients_of_convolution(kernel: Kernel) -> None:
    fine = _voxels(occupancy=0.1)
    coarse = coarsened(fine, kernel.stride)
    plan = make_plan(fine, coarse, kernel)
    weight = torch.randn(kernel.num_taps, 2, 2, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x, w, b: conv(x, w, plan, b), (_features(fine), weight, bias), fast_mode=True)
    assert gradcheck(lambda x, w, b: conv_transpose(x, w, plan, b), (_features(coarse), weight, bias), fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_computes_in_its_type_and_stays_close(dtype: torch.dtype) -> None:
    voxels = _voxels()
    plan = make_plan(voxels, voxels, Kernel(3))
    features = torch.randn(len(voxels), 8, requires_grad=True)
    weight = (torch.randn(27, 8, 8) / 15).requires_grad_()
    exact = torch.autograd.grad(conv(features, weight, plan).square().sum(), (features, weight))
    with torch.autocast("cpu", dtype=dtype):
        out = conv(features, weight, plan)
    assert out.dtype == dtype
    coarse = torch.autograd.grad(out.float().square().sum(), (features, weight))
    for ours, theirs in zip(coarse, exact, strict=True):
        assert ours.dtype == torch.float32
        assert (ours - theirs).abs().max() < 0.04 * theirs.abs().max()


@pytest.mark.parametrize("kernel", [Kernel(2, 2), Kernel(3, 2), Kernel(3, 1)], ids=str)
@pytest.mark.parametrize("reduction", ["sum", "mean", "max"])
def test_pooling_equals_a_loop_and_differentiates(kernel: Kernel, reduction: str) -> None:
    fine = _voxels(1)
    plan = make_plan(fine, coarsened(fine, kernel.stride), kernel)
    features = _features(fine)
    pooled = pool(features, plan, reduction)
    for row, found in enumerate(plan.neighbours("coarse")):
        there = features[found[found >= 0]]
        want = there.amax(0) if reduction == "max" else getattr(there, reduction)(0)
        torch.testing.assert_close(pooled[row], want)
    assert gradcheck(lambda x: pool(x, plan, reduction), (features,), fast_mode=True)


def test_pooling_over_nothing_is_zero() -> None:
    fine = _voxels(1)
    nothing = SparseVoxels(fine.coords[:0], 3, fine.shape)
    for reduction in ("sum", "mean", "max"):
        pooled = pool(torch.zeros(0, 2), make_plan(nothing, fine, Kernel(3)), reduction)
        assert torch.equal(pooled, torch.zeros(len(fine), 2))


def test_unpooling_copies_the_parent() -> None:
    fine = _voxels(2)
    coarse = coarsened(fine, 2)
    features = _features(coarse)
    plan = make_plan(fine, coarse, Kernel(2, 2))
    assert torch.equal(unpool(features, plan), from_parent(features, coarse, fine))
    assert gradcheck(lambda x: from_parent(x, coarse, fine), (features,), fast_mode=True)


@pytest.mark.parametrize("reduction", ["sum", "mean", "max"])
def test_global_pooling_counts_the_voxels_that_are_there(reduction: str) -> None:
    voxels = _voxels()
    features = _features(voxels)
    pooled = global_pool(features, voxels, reduction)
    own = features[voxels.coords[:, 0] == 2]
    torch.testing.assert_close(pooled[2], own.amax(0) if reduction == "max" else getattr(own, reduction)(0))
    assert torch.equal(pooled[1], torch.zeros(2, dtype=torch.float64))
    assert gradcheck(lambda x: global_pool(x, voxels, reduction), (features,), fast_mode=True)


def test_dense_and_back_is_the_identity_and_the_rest_is_fill() -> None:
    voxels = _voxels()
    features = _features(voxels)
    volume = to_dense(features, voxels, fill=-7.0)
    assert torch.equal(from_dense(volume, voxels), features)
    assert (volume == -7).sum() == volume.numel() - features.numel()
    assert gradcheck(lambda x: to_dense(x, voxels), (features,), fast_mode=True)
    assert gradcheck(lambda v: from_dense(v, voxels), (volume.detach().requires_grad_(),), fast_mode=True)


@pytest.mark.parametrize("how", ["sum", "concat"])
def test_joining_equals_the_dense_sum_or_concatenation(how: str) -> None:
    parts = [(_features(v, seed=s), v) for s, v in ((1, _voxels(1)), (2, _voxels(2)))]
    features, together = join(parts, how)
    dense = [to_dense(f, v) for f, v in parts]
    want = sum(dense) if how == "sum" else torch.cat(dense, dim=1)
    assert torch.equal(to_dense(features, together), want)
    assert gradcheck(
        lambda a, b: join([(a, parts[0][1]), (b, parts[1][1])], how)[0], (parts[0][0], parts[1][0]), fast_mode=True
    )


def test_meeting_and_moving_keep_rows_with_their_voxels() -> None:
    first, second = _voxels(1), _voxels(2)
    a, b = _features(first, seed=1), _features(second, seed=2)
    ours, theirs, common = meet((a, first), (b, second))
    assert torch.equal(ours, from_dense(to_dense(a, first), common))
    assert torch.equal(theirs, from_dense(to_dense(b, second), common))
    assert torch.equal(moved_onto(a, first, second), from_dense(to_dense(a, first), second))
    assert gradcheck(lambda x: moved_onto(x, first, second), (a,), fast_mode=True)


def test_pruning_keeps_features_with_their_voxels() -> None:
    voxels = _voxels()
    features, keep = _features(voxels), torch.arange(len(voxels)) % 3 == 0
    kept, fewer = prune(features, voxels, keep)
    assert torch.equal(kept, features[keep])
    assert torch.equal(fewer.coords, voxels.coords[keep])
    assert gradcheck(lambda x: prune(x, voxels, keep)[0], (features,), fast_mode=True)


@pytest.mark.parametrize("how", ["first", "mean", "sum", "max"])
def test_scattering_equals_a_loop_in_any_case_of_repetition(how: str) -> None:
    generator = torch.Generator().manual_seed(3)
    coords = torch.randint(0, 3, (60, 4), generator=generator) % torch.tensor([2, 3, 3, 3])
    features = torch.randn(60, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    out, voxels = scatter(features, coords, 2, (3, 3, 3), how)
    for row, cell in enumerate(voxels.coords):
        points = features[(coords == cell).all(1)]
        want = {"first": points[0], "mean": points.mean(0), "sum": points.sum(0), "max": points.amax(0)}[how]
        torch.testing.assert_close(out[row], want)
    assert gradcheck(lambda x: scatter(x, coords, 2, (3, 3, 3), how)[0], (features,), fast_mode=True)


def test_scattering_nothing_gives_nothing() -> None:
    for how in ("first", "mean", "sum", "max"):
        out, voxels = scatter(torch.zeros(0, 4), torch.zeros(0, 4, dtype=torch.int64), 2, (3, 3, 3), how)
        assert out.shape == (0, 4)
        assert len(voxels) == 0


def test_interpolation_in_a_full_set_is_trilinear() -> None:
    voxels = voxels_of_mask(torch.ones(1, 4, 4, 4, dtype=torch.bool))
    coords = voxels.coords[:, 1:].double()
    features = (coords @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))[:, None].requires_grad_()
    points = torch.rand(50, 3, dtype=torch.float64) * 3
    member = torch.zeros(50, dtype=torch.int64)
    want = points @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    torch.testing.assert_close(interpolated(features, voxels, points, member)[:, 0], want)
    assert gradcheck(lambda x: interpolated(x, voxels, points[:5], member[:5]), (features,), fast_mode=True)


def test_interpolation_beside_absent_voxels_leaves_them_out() -> None:
    voxels = _voxels(5)
    ones = torch.ones(len(voxels), 1, dtype=torch.float64)
    points = torch.rand(40, 3, dtype=torch.float64) * 6 - 1
    read = interpolated(ones, voxels, points, torch.full((40,), 2))
    assert ((read - 1).abs().lt(1e-12) | (read == 0)).all()
    assert torch.equal(interpolated(ones, voxels, points, torch.full((40,), 1)), torch.zeros(40, 1).double())


def test_a_constant_survives_upsampling() -> None:
    fine = _voxels(6)
    coarse = coarsened(fine, 2)
    up = upsampled(torch.ones(len(coarse), 3), coarse, fine)
    torch.testing.assert_close(up, torch.ones(len(fine), 3))


def test_image_features_equal_grid_sample() -> None:
    features = torch.randn(2, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    corners = [[0.0, 0.0], [5.0, 4.0], [5.0, 0.0], [0.0, 4.0], [5.0, 2.3], [1.7, 4.0], [6.0, 4.0], [-1.0, 0.0]]
    inside_and_out = torch.rand(40, 2, dtype=torch.float64) * torch.tensor([8.0, 7.0]) - 1.5
    pixels = torch.cat((inside_and_out, torch.tensor(corners, dtype=torch.float64)))
    member = torch.arange(len(pixels)) % 2
    ours = image_features_at(features, pixels, member)
    grid = 2 * pixels / torch.tensor([5.0, 4.0]) - 1
    for b in (0, 1):
        want = F.grid_sample(features[b : b + 1], grid[member == b][None, None], align_corners=True)[0, :, 0].t()
        torch.testing.assert_close(ours[member == b], want)
    assert gradcheck(lambda x: image_features_at(x, pixels[:6], member[:6]), (features,), fast_mode=True)


def test_an_image_of_one_pixel_is_read_there_and_nowhere_else() -> None:
    pixels = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.25, 0.0]])
    read = image_features_at(torch.full((1, 1, 1, 1), 2.0), pixels, torch.zeros(4, dtype=torch.int64))
    assert read[:, 0].tolist() == [2.0, 0.0, 0.0, 1.5]


def test_instance_norm_is_that_of_each_member_alone() -> None:
    voxels = _voxels(7, 0.5)
    features = _features(voxels, 3)
    weight, bias = torch.randn(2, 3, dtype=torch.float64).requires_grad_().unbind(0)
    normed = instance_norm(features, voxels, weight, bias)
    own = features[voxels.coords[:, 0] == 2]
    want = (own - own.mean(0)) / torch.sqrt(own.var(0, correction=0) + 1e-8) * weight + bias
    torch.testing.assert_close(normed[voxels.coords[:, 0] == 2], want)
    assert gradcheck(lambda x: instance_norm(x, voxels), (features,), fast_mode=True)
    assert gradcheck(lambda x: batch_norm(x), (features,), fast_mode=True)


def test_norms_take_one_voxel_and_none() -> None:
    one = SparseVoxels(torch.zeros(1, 4, dtype=torch.int32), 2, (2, 2, 2))
    assert torch.equal(instance_norm(torch.ones(1, 3), one), torch.zeros(1, 3))
    none = SparseVoxels(torch.zeros(0, 4, dtype=torch.int32), 2, (2, 2, 2))
    assert instance_norm(torch.ones(0, 3), none).shape == (0, 3)
    assert batch_norm(torch.ones(0, 3)).shape == (0, 3)


def test_generated_voxels_can_be_kept_inside_of_the_grid() -> None:
    coarse = coarsened(_voxels(), 2)
    made = generated(coarse, Kernel(4, 2, convention="minkowski"), bounds=((0, 0, 0), (4, 4, 4)))
    assert made.coords[:, 1:].max() <= 3
    assert made.shape == (4, 4, 4)
    free = generated(coarse, Kernel(4, 2, convention="minkowski"))
    assert free.coords[:, 1:].max() == 5  # MinkowskiEngine's blocks reach three voxels past the last even one


@pytest.mark.parametrize("kernel", [Kernel(3), Kernel(5), Kernel(3, dilation=2)], ids=str)
def test_dense_in_the_mask_equals_sparse(kernel: Kernel) -> None:
    """The switch at the crossover changes speed and nothing else."""
    voxels = _voxels(8, 0.8, size=6)
    outcomes = []
    for limit in (None, 0.01):
        plan = make_plan(voxels, voxels, kernel, SparseConfig(dense_from_occupancy=limit))
        taken = chosen(plan, Widths(2, 3, "coarse", is_inference=False)).name
        assert (taken == "dense in the mask") == (limit is not None)
        features, weight = _features(voxels), torch.ones(kernel.num_taps, 2, 3, dtype=torch.float64).cumsum(0)
        weight.requires_grad_()
        out = conv(features, weight, plan)
        outcomes.append((out, *torch.autograd.grad(out.sin().sum(), (features, weight))))
    for sparse, dense in zip(*outcomes, strict=True):
        torch.testing.assert_close(sparse, dense)
