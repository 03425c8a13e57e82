"""Law: convolution over a plan is dense convolution on the support, forward and backward, whatever the case."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from panoptic3d.sparse import SparseConfig, make_plan
from panoptic3d.sparse.backends.torch_backend import TorchBackend
from panoptic3d.sparse.conformance import TOLERANCE, outcome, random_case, worst_error

BACKEND = TorchBackend()


@pytest.fixture
def num_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def _dtype(seed: int) -> torch.dtype:
    return torch.float64 if seed % 2 else torch.float32


@pytest.mark.parametrize("seed", range(1000, 1024))
def test_equals_dense_convolution(seed: int) -> None:
    dtype = _dtype(seed)
    assert worst_error(BACKEND, random_case(seed, dtype)) <= TOLERANCE[dtype]


@pytest.mark.slow
@pytest.mark.parametrize("num_threads", [1, 2, 4], indirect=True)
@pytest.mark.parametrize("block", range(20))
def test_four_hundred_cases_equal_dense_convolution(num_threads: int, block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        dtype = _dtype(seed)
        assert worst_error(BACKEND, random_case(seed, dtype)) <= TOLERANCE[dtype], seed


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("num_threads", [1, 2, 4], indirect=True)
def test_the_same_call_twice_gives_the_same_bits(seed: int, num_threads: int) -> None:
    first = outcome(BACKEND, random_case(seed, torch.float32))
    second = outcome(BACKEND, random_case(seed, torch.float32))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("seed", [4, 9])
def test_memory_settings_do_not_change_the_result(seed: int) -> None:
    """Other blocks mean other sums of the weight's gradient, so that one is equal up to rounding only."""
    case = random_case(seed, torch.float64)
    plan = case.plan
    outcomes = [
        outcome(BACKEND, replace(case, plan=make_plan(plan.fine, plan.coarse, plan.kernel, config)))
        for config in (SparseConfig(), SparseConfig(rows_per_block=64, gather_bytes=1 << 12, table_bytes=0))
    ]
    for ours, theirs in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
