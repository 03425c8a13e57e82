"""Laws of voxel sets and plans."""

import itertools

import pytest
import torch

from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.sparse import (
    Kernel,
    PlanBook,
    SparseConfig,
    coarsened,
    conv,
    generated,
    intersection,
    make_plan,
    pruned,
    reached_coarse,
    rows_in,
    union,
    voxel_set,
    voxels_of_mask,
)
from panoptic3d.structures.sparse_voxels import SparseVoxels

KERNELS = [
    Kernel(*numbers, convention=convention)
    for numbers in itertools.product((1, 2, 3, 4), (1, 2, 3), (1, 2))
    for convention in ("centred", "minkowski")
]


def _random_voxels(seed: int = 0, occupancy: float = 0.2, origin: int = -3) -> SparseVoxels:
    mask = torch.rand(3, 6, 7, 5, generator=torch.Generator().manual_seed(seed)) < occupancy
    mask[1] = False  # an empty member
    coords = voxels_of_mask(mask).coords + torch.tensor([0, origin, origin, origin], dtype=torch.int32)
    return voxel_set(coords, 3, (6, 7, 5), origin=(origin, origin, origin))


def _cells(voxels: SparseVoxels) -> set[tuple[int, ...]]:
    return {tuple(row) for row in voxels.coords.tolist()}


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_fine_is_stride_coarse_plus_tap_minus_padding(kernel: Kernel) -> None:
    """The law of the kernel map, for every pair of cells and not only for those that are listed."""
    fine = _random_voxels()
    coarse = coarsened(fine, kernel.stride)
    found = make_plan(fine, coarse, kernel).neighbours("coarse")
    fine_rows = {tuple(row): number for number, row in enumerate(fine.coords.tolist())}
    for row, (member, *cell) in enumerate(coarse.coords.tolist()):
        for number, tap in enumerate(itertools.product(range(kernel.size), repeat=3)):
            law = [kernel.stride * c + kernel.dilation * t - kernel.padding for c, t in zip(cell, tap, strict=True)]
            assert found[row, number] == fine_rows.get((member, *law), -1)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_both_sides_of_a_plan_list_the_same_pairs(kernel: Kernel) -> None:
    fine = _random_voxels(1)
    plan = make_plan(fine, coarsened(fine, kernel.stride), kernel)
    by_coarse = {
        (row, tap, plan.neighbours("coarse")[row, tap].item()) for row, tap in _pairs(plan.neighbours("coarse"))
    }
    by_fine = {(plan.neighbours("fine")[row, tap].item(), tap, row) for row, tap in _pairs(plan.neighbours("fine"))}
    assert by_coarse == by_fine


def _pairs(neighbours: torch.Tensor) -> list[list[int]]:
    return (neighbours >= 0).nonzero().tolist()


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_reached_and_generated_are_all_that_a_kernel_touches(kernel: Kernel) -> None:
    fine = _random_voxels(2, 0.03)
    reached = reached_coarse(fine, kernel)
    coarse = SparseVoxels(fine.coords, 3, fine.shape, kernel.stride, fine.origin)
    made = generated(coarse, kernel)
    taps = list(itertools.product(range(kernel.size), repeat=3))
    want_made = {
        (member, *(kernel.stride * c + kernel.dilation * t - kernel.padding for c, t in zip(cell, tap, strict=True)))
        for member, *cell in coarse.coords.tolist()
        for tap in taps
    }
    want_reached = set()
    for member, *cell in fine.coords.tolist():
        for tap in taps:
            moved = [f + kernel.padding - kernel.dilation * t for f, t in zip(cell, tap, strict=True)]
            if all(value % kernel.stride == 0 for value in moved):
                want_reached.add((member, *(value // kernel.stride for value in moved)))
    assert _cells(made) == want_made
    assert _cells(reached) == want_reached
    assert made.coords.tolist() == sorted(made.coords.tolist())
    assert reached.coords.tolist() == sorted(reached.coords.tolist())


def test_coarsened_floors_negative_coordinates() -> None:
    voxels = voxel_set(torch.tensor([[0, -1, -2, -3], [0, 0, 1, 2]]), 1, (8, 8, 8), origin=(-4, -4, -4))
    assert coarsened(voxels, 2).coords.tolist() == [[0, -1, -1, -2], [0, 0, 0, 1]]
    assert coarsened(voxels, 2).stride == 2


def test_voxel_set_sorts_and_keeps_each_voxel_once() -> None:
    coords = torch.tensor([[1, 0, 0, 2], [0, 3, 1, 1], [1, 0, 0, 2], [0, 0, 3, 3]])
    assert voxel_set(coords, 2, (4, 4, 4)).coords.tolist() == [[0, 0, 3, 3], [0, 3, 1, 1], [1, 0, 0, 2]]
    huge = voxel_set(coords * torch.tensor([1, 900, 900, 900]), 2, (4096, 4096, 4096))
    assert huge.coords.tolist() == [[0, 0, 2700, 2700], [0, 2700, 900, 900], [1, 0, 0, 1800]]


def test_voxels_outside_of_the_grid_are_an_error_that_names_one() -> None:
    with pytest.raises(InputError, match=r"1 of 2 voxels .* \[0, 0, 4, 0\]"):
        voxel_set(torch.tensor([[0, 0, 0, 0], [0, 0, 4, 0]]), 1, (4, 4, 4))


def test_union_and_intersection_are_those_of_sets() -> None:
    first, second = _random_voxels(3), _random_voxels(4, origin=-1)
    assert _cells(union(first, second)) == _cells(first) | _cells(second)
    assert _cells(intersection(first, second)) == _cells(first) & _cells(second)
    rows = rows_in(first, second)
    assert [first.coords[r].tolist() for r in rows[rows >= 0]] == second.coords[rows >= 0].tolist()


def test_sets_of_different_levels_do_not_mix() -> None:
    fine = _random_voxels()
    with pytest.raises(InputError, match="stride"):
        union(fine, coarsened(fine, 2))
    with pytest.raises(InputError, match="stride"):
        make_plan(fine, coarsened(fine, 2), Kernel(3, stride=3))


@pytest.mark.parametrize("occupancy", [0.0, 1.0])
@pytest.mark.parametrize("kernel", [Kernel(3), Kernel(2, 2), Kernel(4, 2)], ids=str)
def test_empty_and_full_sets_are_ordinary(kernel: Kernel, occupancy: float) -> None:
    mask = torch.full((2, 4, 4, 4), occupancy > 0)
    fine = voxels_of_mask(mask)
    coarse = coarsened(fine, kernel.stride) if kernel.stride > 1 else fine
    features = torch.randn(len(fine), 2, requires_grad=True)
    weight = torch.randn(kernel.num_taps, 2, 3, requires_grad=True)
    out = conv(features, weight, make_plan(fine, coarse, kernel))
    assert out.shape == (len(coarse), 3)
    out.sum().backward()
    assert features.grad is not None
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


def test_a_book_builds_a_plan_once() -> None:
    book, voxels = PlanBook(), _random_voxels()
    assert book.plan(voxels, voxels, Kernel(3)) is book.plan(voxels, voxels, Kernel(3))
    assert book.plan(voxels, voxels, Kernel(3)) is not book.plan(voxels, voxels, Kernel(3, dilation=2))
    assert len(book) == 2
    kept = pruned(voxels, torch.ones(len(voxels), dtype=torch.bool))
    assert book.plan(kept, kept, Kernel(3)) is not book.plan(voxels, voxels, Kernel(3))


def test_features_that_do_not_fit_are_refused_in_numbers() -> None:
    voxels = _random_voxels()
    plan = make_plan(voxels, voxels, Kernel(3))
    with pytest.raises(InputError, match=f"5 feature rows do not fit the {len(voxels)} voxels"):
        conv(torch.zeros(5, 2), torch.zeros(27, 2, 2), plan)
    with pytest.raises(InputError, match=r"\(27, 2, out\), these are \(8, 2, 2\)"):
        conv(torch.zeros(len(voxels), 2), torch.zeros(8, 2, 2), plan)


def test_running_out_of_memory_names_voxels_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: 9 bytes")

    monkeypatch.setattr("panoptic3d.sparse.torch.dispatch.apply_taps", exhausted)
    voxels = _random_voxels()
    plan = make_plan(voxels, voxels, Kernel(3), SparseConfig(rows_per_block=128))
    with pytest.raises(Panoptic3dError, match=rf"{len(voxels)} voxels .* sparse.rows_per_block \(now 128\)"):
        conv(torch.zeros(len(voxels), 2), torch.zeros(27, 2, 2), plan)
