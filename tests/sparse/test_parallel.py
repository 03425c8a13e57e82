"""Threads change the time and nothing else."""

import threading

import pytest
import torch

from panoptic3d.sparse import Kernel, SparseConfig, conv, make_plan, voxels_of_mask
from panoptic3d.sparse.runtime.parallel import over_blocks, side_by_side


@pytest.mark.parametrize("num_threads", [2, 4])
def test_any_number_of_threads_gives_the_same_bits(num_threads: int) -> None:
    generator = torch.Generator().manual_seed(0)
    voxels = voxels_of_mask(torch.rand(1, 32, 32, 32, generator=generator) < 0.4)
    features = torch.randn(len(voxels), 8, generator=generator, requires_grad=True)
    weight = torch.randn(27, 8, 8, generator=generator, requires_grad=True)

    def outcome() -> tuple[torch.Tensor, ...]:
        out = conv(features, weight, make_plan(voxels, voxels, Kernel(3)))
        return out, *torch.autograd.grad(out.square().sum(), (features, weight))

    alone = outcome()
    torch.set_num_threads(num_threads)
    assert all(torch.equal(a, b) for a, b in zip(outcome(), alone, strict=True))


def test_results_come_in_order_and_each_block_has_one_core() -> None:
    torch.set_num_threads(3)
    results = over_blocks(lambda block: (block, torch.get_num_threads()), range(20), torch.device("cpu"))
    assert results == [(block, 1) for block in range(20)]
    assert torch.get_num_threads() == 3


def test_an_error_in_a_block_comes_out() -> None:
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError):
        over_blocks(lambda block: 1 // block, [1, 0, 1], torch.device("cpu"))


def test_threads_work_in_inference_mode() -> None:
    voxels = voxels_of_mask(torch.ones(1, 24, 24, 24, dtype=torch.bool))
    features, weight = torch.ones(len(voxels), 2), torch.ones(27, 2, 2)
    plan = make_plan(voxels, voxels, Kernel(3), SparseConfig(dense_from_occupancy=None))
    torch.set_num_threads(2)
    with torch.inference_mode():
        assert float(conv(features, weight, plan).max()) == 54


def test_works_side_by_side_meet_and_what_is_left_over_has_all_threads() -> None:
    torch.set_num_threads(2)
    meeting = threading.Barrier(2)

    def meet() -> int:
        meeting.wait(timeout=20)  # nobody comes past this alone
        return torch.get_num_threads()

    with torch.no_grad():
        assert side_by_side([meet, meet, torch.get_num_threads], torch.device("cpu")) == [1, 1, 2]


def test_works_that_want_gradients_run_one_after_the_other() -> None:
    torch.set_num_threads(2)
    a = torch.ones(2, requires_grad=True)
    for made in side_by_side([lambda: 2 * a, lambda: 3 * a], torch.device("cpu")):
        assert made.requires_grad


def test_threads_that_ask_a_plan_for_the_same_make_it_once() -> None:
    voxels = voxels_of_mask(torch.ones(1, 4, 4, 4, dtype=torch.bool))
    plan, made = make_plan(voxels, voxels, Kernel(3)), []
    meeting = threading.Barrier(2)

    def ask() -> int:
        meeting.wait(timeout=20)
        return plan.kept("number", lambda: made.append(1) or len(made))

    torch.set_num_threads(2)
    with torch.no_grad():
        assert side_by_side([ask, ask], torch.device("cpu")) == [1, 1]
