"""Rows in order."""

import pytest
import torch

from panoptic3d.sparse.row_ops import stable_order


@pytest.mark.parametrize("limit", [1, 200, 1 << 16, (1 << 16) + 1, 1 << 21, 1 << 33])
@pytest.mark.parametrize("count", [0, 1, 5000])
def test_numbers_are_sorted_and_equals_keep_their_order(limit: int, count: int) -> None:
    numbers = torch.randint(0, limit, (count,), generator=torch.Generator().manual_seed(0))
    assert torch.equal(stable_order(numbers, limit), torch.sort(numbers, stable=True).indices)
