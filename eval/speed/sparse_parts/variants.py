"""The other ways to convolve on a CPU in plain PyTorch, measured against the one that the engine uses."""

import torch
import torch.nn.functional as F

from panoptic3d.sparse import Kernel, make_plan, voxel_set


def gather_scatter(coords: torch.Tensor, channels: int):
    """One tap at a time: gather its pairs, multiply, add onto the output rows."""
    weight = torch.randn(27, channels, channels, requires_grad=True)

    def step(features: torch.Tensor, size: int) -> None:
        voxels = voxel_set(coords, 1, (size, size, size))
        neighbours = make_plan(voxels, voxels, Kernel(3)).neighbours("coarse")
        out = features.new_zeros(len(features), channels)
        for tap in range(27):
            rows = (neighbours[:, tap] >= 0).nonzero()[:, 0]
            out = out.index_add(0, rows, features.index_select(0, neighbours[rows, tap]) @ weight[tap])
        torch.autograd.grad(out, (features, weight), torch.ones_like(out))

    return step


def im2col(coords: torch.Tensor, channels: int):
    """All 27 taps of 512 rows side by side, absent ones as zeros, one product per chunk; forward and both gradients."""
    weight = torch.randn(27, channels, channels)
    chunk = max(64, (1 << 20) // (27 * channels * 4))

    def step(features: torch.Tensor, size: int) -> None:
        voxels = voxel_set(coords, 1, (size, size, size))
        num = len(features)
        sources = make_plan(voxels, voxels, Kernel(3)).neighbours("coarse")
        sources = torch.where(sources < 0, num, sources)
        x = torch.cat((features.detach(), features.new_zeros(1, channels)))
        dy = torch.cat((torch.ones(num, channels), torch.zeros(1, channels)))
        turned = weight.flip(0).transpose(1, 2).reshape(-1, channels)
        out, by_x, by_w = torch.empty(num, channels), torch.empty(num, channels), torch.zeros(channels, 27 * channels)
        for a in range(0, num, chunk):
            wanted = sources[a : a + chunk].reshape(-1)
            torch.mm(
                x.index_select(0, wanted).view(-1, 27 * channels), weight.view(-1, channels), out=out[a : a + chunk]
            )
            back = dy.index_select(0, wanted).view(-1, 27 * channels)
            torch.mm(back, turned, out=by_x[a : a + chunk])
            by_w.addmm_(x[a : min(a + chunk, num)].t(), back)

    return step


def bricks(coords: torch.Tensor, channels: int):
    """Dense convolution of every 8^3 brick that holds a voxel, with a margin of one cell."""
    weight = torch.randn(channels, channels, 3, 3, 3, requires_grad=True)

    def step(features: torch.Tensor, size: int) -> None:
        xyz = coords[:, 1:].long()
        corner, brick_of = torch.unique(xyz // 8, dim=0, return_inverse=True)
        volume = features.new_zeros(len(corner) * 1000, channels)
        offsets = torch.cartesian_prod(*[torch.arange(-1, 2)] * 3)
        numbers = (corner @ torch.tensor([4096, 64, 1])).contiguous()
        for offset in offsets:
            wanted = (xyz // 8 + offset) @ torch.tensor([4096, 64, 1])
            place = torch.searchsorted(numbers, wanted).clamp(max=len(numbers) - 1)
            local = xyz - (xyz // 8 + offset) * 8 + 1
            inside = (numbers[place] == wanted) & (local >= 0).all(1) & (local < 10).all(1)
            rows = inside.nonzero()[:, 0]
            cell = (place * 1000 + local @ torch.tensor([100, 10, 1]))[rows]
            volume = volume.index_copy(0, cell, features[rows])
        dense = volume.view(-1, 10, 10, 10, channels).permute(0, 4, 1, 2, 3)
        out = F.conv3d(dense, weight).permute(0, 2, 3, 4, 1).reshape(-1, channels)
        out = out.index_select(0, brick_of * 512 + (xyz % 8) @ torch.tensor([64, 8, 1]))
        torch.autograd.grad(out, (features, weight), torch.ones_like(out))

    return step


VARIANTS = {"gather-scatter": gather_scatter, "im2col": im2col, "bricks": bricks}
