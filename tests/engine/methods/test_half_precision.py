"""A step of every method under autocast: its loss is float32's within the rounding of features, its gradients are finite."""

from collections.abc import Callable, Mapping
from functools import partial

import pytest
import torch
from torch import Tensor

from panoptic3d.engine.methods.base import Method
from panoptic3d.engine.methods.clearview.config import ClearviewTrainingConfig
from panoptic3d.engine.methods.clearview.method import ClearviewMethod
from panoptic3d.engine.methods.table import METHODS
from panoptic3d.engine.methods.uni3d.config import Uni3dSettings
from panoptic3d.engine.methods.uni3d.method import Uni3dMethod
from tests.engine.methods.conftest import batch_of, room
from tests.engine.methods.test_uni3d_training import NARROW as SMALL_UNI3D

# Methods that do not take this test yet: nobody has seen them train in half precision.
UNTRIED = {"buol", "pooled-queries"}
TRIED = sorted(set(METHODS) - UNTRIED)
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
SMALL_CLEARVIEW = {
    "network": {
        "fit": {"width": 96, "height": 64},
        "trunk": {"width": 8},
        "rays": {"width": 8},
        "voxel_net": {"channels_64": [4, 8], "channels_128": 4, "channels_256": 4},
    },
    "imagenet": False,
    "steps_64": 0,
    "true_depth": [0.0, 0.0],  # the network's own depth, whose rounding the voxels would read
}


def clearview() -> ClearviewMethod:
    torch.manual_seed(0)
    return ClearviewMethod(ClearviewTrainingConfig.model_validate(SMALL_CLEARVIEW)).eval()


def uni3d() -> Uni3dMethod:
    torch.manual_seed(0)
    network = SMALL_UNI3D | {"voxel_net": SMALL_UNI3D["voxel_net"] | {"coarse_instances": "always"}}
    tree = {"network": network, "image_terms": {"points": "grid", "num_points": 64}, "min_pixels": 20}
    return Uni3dMethod(Uni3dSettings.model_validate(tree)).eval()


@pytest.fixture
def methods(training: Callable[..., Method]) -> Mapping[str, Callable[[], Method]]:
    quick = {"curriculum": {"steps_64": 0, "steps_128": 0}}
    return {"clearview": clearview, "panorecon": partial(training, "2d", "3d", **quick), "uni3d": uni3d}


def terms_of(method: Method, dtype: torch.dtype | None) -> dict[str, Tensor]:
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        return dict(method(batch_of(room(0)), 0))


def test_every_method_is_tried(methods: Mapping[str, Callable[[], Method]]) -> None:
    assert set(methods) == set(TRIED)


@pytest.mark.parametrize(
    ("name", "half"),
    [
        pytest.param(name, half, marks=() if (name, half) == ("clearview", "bf16") else pytest.mark.slow)
        for name in TRIED
        for half in HALVES
    ],
)
def test_a_step_in_half_precision_is_that_of_float32(
    name: str, half: str, methods: Mapping[str, Callable[[], Method]]
) -> None:
    method = methods[name]()
    with torch.no_grad():
        expected = terms_of(method, None)
    terms = terms_of(method, HALVES[half])
    assert set(terms) == set(expected)
    for term, value in terms.items():
        assert value.dtype == torch.float32, term
        torch.testing.assert_close(value, expected[term], rtol=0.1, atol=0.02, msg=lambda m, t=term: f"{t}: {m}")
    sum(terms.values()).backward()
    gradients = {n: p.grad for n, p in method.named_parameters() if p.requires_grad}
    assert [n for n, grad in gradients.items() if grad is None or not bool(grad.isfinite().all())] == []
