"""Choose the back end. One that fails its self-test here is never used."""

from dataclasses import dataclass
from functools import cache

import torch

from panoptic3d.choices import object_named
from panoptic3d.errors import MissingPartError, Panoptic3dError
from panoptic3d.optional import is_installed
from panoptic3d.sparse.backends.minkowski_backend import MinkowskiBackend
from panoptic3d.sparse.backends.protocol import Backend
from panoptic3d.sparse.backends.spconv_backend import SpconvBackend
from panoptic3d.sparse.backends.torch_backend import TorchBackend
from panoptic3d.sparse.backends.triton_backend import TritonBackend
from panoptic3d.sparse.backends.warpconvnet_backend import WarpconvnetBackend
from panoptic3d.sparse.conformance import TOLERANCE, ObstructedError, random_case, worst_error

BACKENDS: dict[str, Backend] = {
    "torch": TorchBackend(),
    "triton": TritonBackend(),
    "spconv": SpconvBackend("spconv"),
    "spconv-triton": SpconvBackend("spconv_triton"),
    "minkowski": MinkowskiBackend(),
    "warpconvnet": WarpconvnetBackend(),
}

_MODULES: dict[str, str] = {
    "triton": "triton",
    "spconv": "spconv",
    "spconv-triton": "spconv_triton",
    "minkowski": "MinkowskiEngine",
    "warpconvnet": "warpconvnet",
}

_NUM_SELF_TESTS = 8


@dataclass(frozen=True)
class SelfTestResult:
    """`detail` is one sentence: what was tried and how far it was off, or why it could not be tried."""

    name: str
    ok: bool
    detail: str


def installed_backends() -> list[str]:
    """Those whose package is there, working or not."""
    return [name for name in BACKENDS if name not in _MODULES or is_installed(_MODULES[name])]


def backend_named(name: str) -> Backend:
    """A built-in back end by its name, or any back end by `package.module:NAME`."""
    return BACKENDS[name] if name in BACKENDS else _strangers(name)


@cache
def _strangers(name: str) -> Backend:
    return object_named("sparse back end", name, {}, Backend, "`obstacle` and `convolve`")


def resolved_name(name: str, device: torch.device) -> str:
    """What `auto` stands for: the Triton kernels on CUDA where they work, plain PyTorch anywhere else."""
    if name != "auto":
        return _checked(name, device)
    if device.type == "cuda" and is_installed("triton") and self_test("triton", "cuda").ok:
        return "triton"
    return "torch"


@cache
def self_test(name: str, device: str = "cpu") -> SelfTestResult:
    """A few cases of the conformance suite, forward and gradients, against dense convolution. Once per process."""
    module = _MODULES.get(name)
    if module is not None and not is_installed(module):
        return SelfTestResult(name, False, f"{module} is not installed.")
    tried, worst, beyond = 0, 0.0, "every case is beyond it"
    for seed in range(4 * _NUM_SELF_TESTS):
        try:
            error = worst_error(backend_named(name), random_case(seed, torch.float32, device))
        except ObstructedError as obstacle:
            beyond = str(obstacle)
            continue
        except (MissingPartError, RuntimeError, AssertionError, TypeError, ValueError, AttributeError) as error:
            # how foreign packages fail; the person who asked gets to know, and the back end is not used
            return SelfTestResult(name, False, f"a convolution raised {type(error).__name__}: {error}")
        tried, worst = tried + 1, max(worst, error)
        if tried == _NUM_SELF_TESTS:
            break
    if not tried:
        return SelfTestResult(name, False, f"nothing could be tried here: it {beyond}.")
    limit = TOLERANCE[torch.float32]
    said = f"{tried} convolutions and their gradients on {device}, at most {worst:.1e} off dense convolution"
    return SelfTestResult(name, worst <= limit, f"{said} (allowed: {limit:.0e}).")


def _checked(name: str, device: torch.device) -> str:
    if name != "torch":
        result = self_test(name, device.type)
        if not result.ok:
            raise Panoptic3dError(
                f"the sparse back end '{name}' fails its self-test here ({result.detail.rstrip('.')}); "
                "set sparse.backend to auto or torch."
            )
    return name
