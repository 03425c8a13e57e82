from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from panoptic3d.errors import BadFileError
from panoptic3d.models.buol.build import build_buol
from panoptic3d.models.buol.config import config_for_published_weights
from panoptic3d.models.buol.family import BUOL
from panoptic3d.models.checkpoints.family import export_published, import_published
from panoptic3d.models.checkpoints.load import load_network
from tests.models.buol.small import small_config

SMALL = replace(BUOL, config_for=lambda state, mode: small_config(mode))


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """A state dict in the published form, every tensor another."""
    torch.manual_seed(0)
    model = build_buol(small_config())
    drawn = {
        name: torch.randn_like(tensor) if tensor.is_floating_point() else torch.tensor(7)
        for name, tensor in model.state_dict().items()
    }
    return {e.theirs: e.to_theirs(drawn[e.ours]) for e in BUOL.entries(model, only_2d=False)} | {**BUOL.constants}


@pytest.mark.slow
def test_all_975_keys_have_a_name_here() -> None:
    with torch.device("meta"):
        model = build_buol(config_for_published_weights("faithful"))
    entries = BUOL.entries(model, only_2d=False)
    theirs = {entry.theirs: entry.shape for entry in entries}
    assert len(theirs) == len(entries) == 974
    assert theirs["bb3d.layer2.0.downsample.0.kernel"] == (1, 32, 64)
    assert theirs["bu3d.instance.classifier.center3d.1.kernel"] == (32, 1)
    assert theirs["bu2d.semantic.aspp.convs.4.aspp_pooling.1.weight"] == (256, 2048, 1, 1)
    assert theirs["depth.MFF.up3.bn1_2.running_var"] == (16,)
    assert sum(parameter.numel() for parameter in model.parameters()) == 100_508_581 + 21_252_368


@pytest.mark.parametrize("is_bare", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_there_and_back_to_the_bit(published: dict[str, Tensor], tmp_path: Path, is_bare: bool) -> None:
    content = published if is_bare else {"state_dict": published, "start_iter": 5, "optimizer": {}, "lr_scheduler": {}}
    torch.save(content, tmp_path / "front3d.pth")
    imported = import_published(SMALL, tmp_path / "front3d.pth", tmp_path / "ours")
    assert len(imported.report.taken) == 974
    assert imported.report.constants == ("depth.get_gradient.edge_conv.weight",)
    assert set(imported.left_aside) == (set() if is_bare else {"start_iter", "optimizer", "lr_scheduler"})
    again = export_published(SMALL, tmp_path / "ours")
    assert again.keys() == published.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in published.items())


@pytest.mark.slow
def test_a_file_of_the_2d_stage_is_taken_as_such(published: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({n: t for n, t in published.items() if not n.startswith(("bb3d.", "bu3d."))}, tmp_path / "2d.pth")
    assert import_published(SMALL, tmp_path / "2d.pth", tmp_path / "ours").is_only_2d
    network = load_network(tmp_path / "ours")
    assert torch.equal(network.state_dict()["trunk.conv1.weight"], published["bb2d.conv1.weight"])


def _without(state: dict[str, Tensor]) -> dict:
    return {name: tensor for name, tensor in state.items() if name != "bb3d.layer1.0.norm1.bias"}


def _misshapen(state: dict[str, Tensor]) -> dict:
    return state | {"bb2d.conv1.weight": torch.zeros(1)}


def _other_sobel(state: dict[str, Tensor]) -> dict:
    return state | {"depth.get_gradient.edge_conv.weight": torch.ones(2, 1, 3, 3)}


def _foreign(state: dict[str, Tensor]) -> dict:
    return state | {"bb4d.weight": torch.zeros(1)}


def _doubles(state: dict[str, Tensor]) -> dict:
    return state | {"bb2d.bn1.bias": state["bb2d.bn1.bias"].double()}


def _nested(state: dict[str, Tensor]) -> dict:
    return {"model": state}


def _no_weights(state: dict[str, Tensor]) -> dict:
    return {"state_dict": [1, 2]}


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (_without, "1 missing, first bb3d.layer1.0.norm1.bias"),
        pytest.param(_misshapen, "of another shape, first bb2d.conv1.weight", marks=pytest.mark.slow),
        pytest.param(_other_sobel, "a constant of the method with other numbers", marks=pytest.mark.slow),
        pytest.param(_foreign, "1 unexpected, first bb4d.weight", marks=pytest.mark.slow),
        pytest.param(_doubles, "torch.float64 where float32 belongs", marks=pytest.mark.slow),
        (_nested, "has no entry `state_dict`"),
        (_no_weights, "no dictionary of tensors"),
    ],
)
def test_hostile_files_are_refused_in_one_sentence(published, tmp_path: Path, spoil, word: str) -> None:
    torch.save(spoil(published), tmp_path / "x.pth")
    with pytest.raises(BadFileError) as refusal:
        import_published(SMALL, tmp_path / "x.pth", tmp_path / "ours")
    assert word in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "ours").exists()


def test_code_is_not_run(tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    (tmp_path / "x.pth").write_bytes(pickle.dumps({"state_dict": Evil()}, protocol=2))
    with pytest.raises(BadFileError, match="not run"):
        import_published(SMALL, tmp_path / "x.pth", tmp_path / "ours")
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_weights_of_another_form_have_no_way_back(published: dict[str, Tensor], tmp_path: Path) -> None:
    camera = replace(
        SMALL, config_for=lambda state, mode: small_config(lift={"frame": "camera"}, voxel_net={"frame": "camera"})
    )
    torch.save(published, tmp_path / "x.pth")
    import_published(camera, tmp_path / "x.pth", tmp_path / "ours")
    with pytest.raises(BadFileError, match="run with the camera's axes"):
        export_published(camera, tmp_path / "ours")
