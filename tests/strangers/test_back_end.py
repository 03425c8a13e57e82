"""Somebody adds a sparse back end: judged against dense convolution, chosen by YAML, refused in a stranger's checkpoint."""

from pathlib import Path

import pytest
import torch

from panoptic3d.choices import EVERYBODY
from panoptic3d.config import validate_config
from panoptic3d.errors import ConfigError, InputError
from panoptic3d.models.clearview.config import ClearviewConfig
from panoptic3d.sparse import Kernel, SparseConfig, conv, make_plan, self_test, voxels_of_mask
from tests.strangers.examples import write_examples

NAME = "house_of_rooms.kernels:BY_THE_TABLE"
IN_A_NET = {"voxel_net": {"sparse": {"backend": NAME}}}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_examples(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


def test_it_computes_what_ours_computes(package: None) -> None:
    assert self_test(NAME).ok
    voxels = voxels_of_mask(torch.rand(2, 5, 5, 5, generator=torch.Generator().manual_seed(0)) < 0.4)
    features, weight = torch.randn(len(voxels), 3), torch.randn(27, 3, 4)
    theirs, ours = (
        conv(features, weight, make_plan(voxels, voxels, Kernel(3), SparseConfig(backend=name)))
        for name in (NAME, "torch")
    )
    torch.testing.assert_close(theirs, ours)
    plan = make_plan(voxels, voxels, Kernel(3), SparseConfig(backend=NAME))
    with pytest.raises(InputError, match="does not compute in half precision; or set sparse"):
        conv(features.half(), weight.half(), plan)


def test_a_yaml_names_it_and_a_checkpoint_needs_trust(package: None) -> None:
    config = validate_config(ClearviewConfig, IN_A_NET, "run.yaml", trust=(EVERYBODY,))
    assert config.build().voxel_net.config.sparse.backend == NAME
    with pytest.raises(ConfigError, match="code of the package 'house_of_rooms', and nothing was imported"):
        validate_config(ClearviewConfig, IN_A_NET, "config.json")
    assert validate_config(ClearviewConfig, IN_A_NET, "config.json", trust=("house_of_rooms",)) == config
    with pytest.raises(ConfigError, match=r"choose from auto, torch, triton"):
        validate_config(ClearviewConfig, {"voxel_net": {"sparse": {"backend": "cuda"}}}, "run.yaml")


def test_what_is_no_back_end_is_refused(package: None) -> None:
    with pytest.raises(ConfigError, match="is no object with `obstacle` and `convolve`"):
        self_test("house_of_rooms.kernels:torch")
