"""Products first, then sums: the same numbers as gathering first."""

import pytest
import torch

from panoptic3d.sparse import Kernel, SparseConfig, generated, make_plan, voxels_of_mask
from panoptic3d.sparse.backends.protocol import Writes
from panoptic3d.sparse.plan import Plan
from panoptic3d.sparse.torch.dispatch import Widths, chosen, explained
from panoptic3d.sparse.torch.gather_gemm import apply_taps
from panoptic3d.sparse.torch.work_order import work_order
from panoptic3d.structures.sparse_voxels import SparseVoxels

TINY_BLOCKS = SparseConfig(gather_bytes=1 << 14, dense_from_occupancy=None)


def _thick(occupancy: float = 0.9) -> SparseVoxels:
    return voxels_of_mask(torch.rand(2, 7, 8, 11, generator=torch.Generator().manual_seed(0)) < occupancy, 6)


def _within(voxels: SparseVoxels) -> Plan:
    return make_plan(voxels, voxels, Kernel(3), TINY_BLOCKS)


def _refined(kernel: Kernel) -> Plan:
    coarse = _thick()
    return make_plan(generated(coarse, kernel), coarse, kernel, TINY_BLOCKS)


@pytest.mark.parametrize(
    ("plan", "writes", "num_in", "num_out"),
    [
        (_within(_thick()), "coarse", 16, 13),  # by lines
        (_within(_thick()), "coarse", 20, 16),  # by taps
        (_refined(Kernel(4, 2)), "fine", 20, 16),
        (_refined(Kernel(4, 2, convention="minkowski")), "fine", 32, 24),
        (_refined(Kernel(6, 3)), "fine", 9, 9),
    ],
)
def test_sums_and_gathers_agree(plan: Plan, writes: Writes, num_in: int, num_out: int) -> None:
    random = torch.Generator().manual_seed(1)
    features = torch.randn(len(plan.fine if writes == "coarse" else plan.coarse), num_in, generator=random)
    weight = torch.randn(plan.kernel.num_taps, num_in, num_out, generator=random)
    widths = Widths(num_in, num_out, writes, is_inference=False)
    kernel = chosen(plan, widths)
    assert kernel.name.startswith("products first")
    ours = kernel.run(features, weight, plan, widths)
    gathered = apply_taps(features, weight, work_order(plan, writes, num_in, num_out), len(ours), 1 << 14)
    torch.testing.assert_close(ours, gathered, rtol=0, atol=1e-5 * float(gathered.abs().max()))


def test_thin_sets_and_wide_results_are_gathered() -> None:
    def obstacles(plan: Plan, writes: Writes, num_in: int, num_out: int) -> dict[str, str | None]:
        return dict(explained(plan, Widths(num_in, num_out, writes, is_inference=False)))

    assert "of the lines' cells are occupied" in str(
        obstacles(_within(_thick(0.2)), "coarse", 16, 16)["products first"]
    )
    assert "above 16 channels out (64)" in str(obstacles(_within(_thick()), "coarse", 64, 64)["products first"])
    coarse = _thick()
    few = voxels_of_mask(torch.zeros(2, 14, 16, 22, dtype=torch.bool).index_fill(1, torch.tensor([3]), True), 3)
    seen = obstacles(make_plan(few, coarse, Kernel(4, 2), TINY_BLOCKS), "fine", 20, 16)
    assert "of what coarse voxels could make is wanted" in str(seen["products first, a step up"])
    assert seen["gathered taps"] is None
