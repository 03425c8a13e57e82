"""Tiles: the same numbers as gathering, for inference."""

import pytest
import torch
import torch.nn.functional as F

from panoptic3d.sparse import Kernel, SparseConfig, conv, make_plan, voxel_set
from panoptic3d.sparse.plan import Plan
from panoptic3d.sparse.torch.dispatch import Widths, tiles_for
from panoptic3d.sparse.torch.gather_gemm import apply_taps
from panoptic3d.sparse.torch.tiling import Tiles
from panoptic3d.sparse.torch.winograd_matrices import from_cells, from_taps, to_cells
from panoptic3d.sparse.torch.winograd_tiles import conv_in_tiles
from panoptic3d.sparse.torch.work_order import work_order


def _plan(occupancy: float = 0.9, num_taps: int = 3, **settings: int) -> Plan:
    """Two members, at negative indices, of no whole tiles."""
    mask = torch.rand(2, 9, 11, 13, generator=torch.Generator().manual_seed(0)) < occupancy
    coords = mask.nonzero() - torch.tensor([0, 5, 4, 3])
    voxels = voxel_set(coords, 2, (9, 11, 13), origin=(-5, -4, -3))
    return make_plan(
        voxels, voxels, Kernel(num_taps), SparseConfig.model_validate({"dense_from_occupancy": None} | settings)
    )


def _drawn(plan: Plan, num_in: int, num_out: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    features = torch.randn(len(plan.fine), num_in, generator=random)
    return features, torch.randn(plan.kernel.num_taps, num_in, num_out, generator=random)


def paying_tiles(features: torch.Tensor, weight: torch.Tensor, plan: Plan) -> Tiles | None:
    tiles = tiles_for(plan, Widths.of(features, weight, "coarse"))
    return None if isinstance(tiles, str) else tiles


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("num_taps", "num_in", "num_out", "size", "tolerance"),
    [
        (3, 16, 16, 2, 2e-6),
        (3, 20, 13, 2, 2e-6),
        (3, 16, 1, 2, 2e-6),
        (3, 8, 2, 4, 2e-6),
        (3, 16, 13, 4, 2e-5),
        (3, 48, 32, 4, 2e-5),
        (5, 16, 16, 2, 1e-5),
        (5, 20, 13, 4, 2e-5),
        (5, 32, 48, 4, 2e-5),
    ],
)
def test_tiles_and_gathers_agree(
    num_taps: int, num_in: int, num_out: int, size: int, tolerance: float, threads: int
) -> None:
    torch.set_num_threads(threads)  # the fixture of this folder puts it back
    plan = _plan(num_taps=num_taps, tile=size, gather_bytes=1 << 18)
    features, weight = _drawn(plan, num_in, num_out)
    tiles = paying_tiles(features, weight, plan)
    assert tiles is not None
    assert tiles.size == size
    gathered = apply_taps(features, weight, work_order(plan, "coarse", num_in, num_out), len(features), 1 << 20)
    ours = conv_in_tiles(features, weight, plan, tiles)
    torch.testing.assert_close(ours, gathered, rtol=0, atol=tolerance * float(gathered.abs().max()))
    assert torch.equal(conv(features, weight, plan), ours)


def test_where_tiles_are_not_used() -> None:
    plan = _plan(tile=2)
    features, weight = _drawn(plan, 48, 48)
    tiles = paying_tiles(features, weight, plan)
    assert tiles is not None
    assert tiles.size == 2
    assert paying_tiles(features, weight.clone().requires_grad_(), plan) is None
    assert paying_tiles(features.double(), weight.double(), plan) is None
    assert paying_tiles(features, weight, _plan(tile=0)) is None
    assert paying_tiles(*_drawn(plan, 8, 8), plan) is None
    thin = _plan(0.5, tile=4)
    assert paying_tiles(*_drawn(thin, 48, 48), thin) is None


@pytest.mark.parametrize("num_taps", [3, 5])
@pytest.mark.parametrize("tile", [2, 4])
def test_points_of_one_tile(tile: int, num_taps: int) -> None:
    random = torch.Generator().manual_seed(0)
    width, middle = tile + num_taps - 1, num_taps // 2
    cells = torch.randn(1, 1, width, width, generator=random, dtype=torch.float64)
    weight = torch.randn(1, 1, num_taps, num_taps, generator=random, dtype=torch.float64)
    in_the_middle = F.pad(weight[..., None], (middle, middle))
    points = from_cells(tile, cells, num_taps) @ cells.flatten()
    taps = from_taps(in_the_middle.permute(2, 3, 4, 1, 0).flatten(0, 2), tile, num_taps)[middle].flatten()
    torch.testing.assert_close(to_cells(tile, cells, num_taps) @ (points * taps), F.conv2d(cells, weight).flatten())
