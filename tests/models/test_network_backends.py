"""The voxel net on other people's sparse engines: the same answers and the same gradients as on ours."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from panoptic3d.sparse.backends.choice import self_test
from panoptic3d.sparse.config import BackendName
from tests.models.test_frustum_unet import lifted, tiny_net


def answers(backend: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What every level says, and the gradients of its mean square. In float64: the network multiplies small differences."""
    net = tiny_net(even_kernels="one-sided", sparse={"backend": backend}).double()
    given = lifted([200, 300])
    levels = net(replace(given, features=given.features.double()))
    said = {}
    for level in levels:
        stride = level.voxels.stride
        said |= {f"cells{stride}": level.candidates.coords, f"kept{stride}": level.voxels.coords}
        said |= {f"occupancy{stride}": level.occupancy_logit, f"semantic{stride}": level.semantic_logits}
        said |= {f"instance{stride}": level.instance_logits}
    torch.stack([tensor.square().mean() for tensor in said.values() if tensor.requires_grad]).sum().backward()
    return said, {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["minkowski"])
def test_the_network_is_the_same(backend: BackendName) -> None:
    works = self_test(backend)
    if not works.ok:
        pytest.skip(f"{backend}: {works.detail}")
    ours, theirs = answers("torch"), answers(backend)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.keys() == other.keys()
        for name, tensor in mine.items():
            torch.testing.assert_close(other[name], tensor, rtol=1e-9, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")
