"""The contract of every back end: it is right, or it is reported and not used."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.sparse import (
    BACKENDS,
    Kernel,
    SparseConfig,
    conv,
    conv_transpose,
    make_plan,
    self_test,
    voxels_of_mask,
)
from panoptic3d.sparse.backends import choice
from panoptic3d.sparse.backends.torch_backend import TorchBackend
from panoptic3d.sparse.conformance import TOLERANCE, ObstructedError, random_case, worst_error


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_back_end_that_is_here_equals_dense_convolution(name: str, device: str) -> None:
    result = self_test(name, device)
    if not result.ok and ("not installed" in result.detail or "nothing could be tried" in result.detail):
        pytest.skip(f"{name}: {result.detail}")
    assert result.ok, result.detail


def test_absent_back_ends_say_how_it_stands() -> None:
    for name in BACKENDS:
        assert self_test(name).detail.endswith((".", ")"))


class _WrongBackend(TorchBackend):
    def convolve(self, features, weight, plan, writes):
        return super().convolve(features, weight, plan, writes) * 1.001


def test_wrong_numbers_are_found_and_the_back_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(choice.BACKENDS, "spconv", _WrongBackend())
    monkeypatch.setattr(choice, "is_installed", lambda module: True)
    choice.self_test.cache_clear()
    try:
        assert not self_test("spconv").ok
        voxels = voxels_of_mask(torch.ones(1, 2, 2, 2, dtype=torch.bool))
        plan = make_plan(voxels, voxels, Kernel(3), SparseConfig(backend="spconv"))
        with pytest.raises(Panoptic3dError, match="'spconv' fails its self-test here"):
            conv(torch.zeros(8, 1), torch.zeros(27, 1, 1), plan)
    finally:
        choice.self_test.cache_clear()


def test_auto_is_plain_torch_on_a_cpu() -> None:
    assert choice.resolved_name("auto", torch.device("cpu")) == "torch"


@pytest.mark.parametrize("function", [conv, conv_transpose])
@pytest.mark.parametrize("occupancy", [0.0, 0.4])
def test_one_tap_is_what_a_back_end_makes_of_it(function: Callable[..., torch.Tensor], occupancy: float) -> None:
    """`conv` takes a product of its own for it, which the conformance test of back ends does not see."""
    generator = torch.Generator().manual_seed(0)
    voxels = voxels_of_mask(torch.rand(2, 5, 6, 7, generator=generator) < occupancy)
    plan = make_plan(voxels, voxels, Kernel(1))
    shapes = ((len(voxels), 3), (1, 3, 4), (4,))
    ours, theirs = (
        [torch.randn(s, generator=torch.Generator().manual_seed(1)).double().requires_grad_() for s in shapes]
        for _ in range(2)
    )
    got = function(ours[0], ours[1], plan, ours[2])
    writes = "coarse" if function is conv else "fine"
    want = TorchBackend().convolve(theirs[0], theirs[1], plan, writes) + theirs[2]
    torch.testing.assert_close(got, want)
    for out in (got, want):
        (out * torch.arange(1.0, 5.0)).sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_what_is_beyond_a_back_end_is_said() -> None:
    case = random_case(0, torch.float64)
    with pytest.raises(ObstructedError, match="float64"):
        worst_error(BACKENDS["triton"], case)
    voxels = voxels_of_mask(torch.ones(1, 2, 2, 2, dtype=torch.bool))
    even = replace(make_plan(voxels, voxels, Kernel(4)), config=SparseConfig(backend="minkowski"))
    assert "even size (4)" in BACKENDS["minkowski"].obstacle(torch.zeros(8, 1), even, "coarse")


def test_a_back_end_that_is_not_installed_is_refused_with_its_name() -> None:
    if self_test("warpconvnet").ok:
        pytest.skip("warpconvnet works here")
    voxels = voxels_of_mask(torch.ones(1, 2, 2, 2, dtype=torch.bool))
    plan = make_plan(voxels, voxels, Kernel(3), SparseConfig(backend="warpconvnet"))
    with pytest.raises((Panoptic3dError, InputError), match="'warpconvnet' fails its self-test here"):
        conv(torch.zeros(8, 1), torch.zeros(27, 1, 1), plan)


_INTERPRETED = """
import torch
from panoptic3d.sparse.backends.triton_backend import TritonBackend
from panoptic3d.sparse.conformance import ObstructedError, random_case, worst_error

worst = max(worst_error(TritonBackend(), random_case(seed, torch.float32)) for seed in range(10))
print(worst)
"""


def test_fused_kernels_equal_dense_convolution_in_tritons_interpreter(repository: Path) -> None:
    """In a process of its own: the interpreter is chosen when Triton is imported."""
    pytest.importorskip("triton", reason="triton is not installed; the fused kernels need it")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join([str(repository), *sys.path])}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _INTERPRETED],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert float(result.stdout) <= TOLERANCE[torch.float32]
