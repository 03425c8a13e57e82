"""A folder with weights gives the network back that it was made from, or says why not."""

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from panoptic3d.errors import BadFileError, InputError
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.clearview.build import build_clearview
from panoptic3d.models.clearview.config import ClearviewConfig, NeckConfig, RayConfig, VoxelNetConfig

_SMALL = ClearviewConfig(
    neck=NeckConfig(width=16),
    rays=RayConfig(width=8),
    voxel_net=VoxelNetConfig(channels_64=(8, 8, 8), channels_128=8, channels_256=8),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    save_file(build_clearview(_SMALL).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(_SMALL.model_dump_json())
    return tmp_path


def test_what_was_written_is_what_is_read(folder: Path) -> None:
    written, network = load_file(folder / "model.safetensors"), load_network(folder)
    assert not network.training
    assert written.keys() == network.state_dict().keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in network.state_dict().items())


def test_half_precision_is_read_into_single(folder: Path) -> None:
    written = load_file(folder / "model.safetensors")
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in written.items()}
    save_file(halves, folder / "model.safetensors")
    network = load_network(folder)
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == written[name].dtype
        assert torch.equal(tensor, halves[name].to(tensor.dtype))


def test_what_does_not_fit_is_named(folder: Path) -> None:
    written = load_file(folder / "model.safetensors")
    name = "voxel_net.distance.weight"
    for changed in ({name: torch.zeros(1, 9)}, {"foreign.weight": torch.zeros(1)}):
        save_file({**written, **changed}, folder / "model.safetensors")
        with pytest.raises(BadFileError, match=f"1 tensors differ, such as {next(iter(changed))}"):
            load_network(folder)
    save_file({key: value for key, value in written.items() if key != name}, folder / "model.safetensors")
    with pytest.raises(BadFileError, match=f"1 tensors differ, such as {name}"):
        load_network(folder)


def test_broken_folders_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "method": "magic"}))
    with pytest.raises(BadFileError, match="names the method 'magic'; this version knows clearview, panorecon"):
        load_network(folder)
    (folder / "config.json").write_text(_SMALL.model_dump_json())
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(BadFileError, match="expected weights in safetensors"):
        load_network(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(BadFileError, match="expected the config of a checkpoint"):
        load_network(folder)


def _changed(
    folder: Path, change: Callable[[torch.Tensor], torch.Tensor], name: str = "voxel_net.distance.weight"
) -> None:
    written = load_file(folder / "model.safetensors")
    save_file(written | {name: change(written[name])}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: torch.full_like(w, float("nan")), "not finite"),
        (lambda w: torch.full_like(w, float("inf")), "not finite"),
        (lambda w: w.to(torch.int8), "numbers of the kind I8"),
        (lambda w: w.to(torch.bool), "numbers of the kind BOOL"),
        (lambda w: w.to(torch.int64), "numbers of the kind I64"),
    ],
)
def test_weights_are_finite_floats(folder: Path, change: Callable, said: str) -> None:
    _changed(folder, change)
    with pytest.raises(BadFileError, match=said):
        load_network(folder)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("neck.width", 10_000_000),
        ("neck.width", 60_000),
        ("fit.width", 10**9),
        ("rays.num_planes", 10**9),
        ("voxel_net.channels_64", []),
        ("voxel_net.channels_64", [-8, 8, 8]),
        ("voxel_net.channels_64", [60_000, 60_000, 60_000]),
        ("voxel_net.channels_128", 0),
        ("rays", [[[[]]]]),
        ("rays.width", 1e300),
    ],
)
def test_a_config_that_asks_for_anything_is_refused_in_little_memory(folder: Path, path: str, value: object) -> None:
    tree = json.loads((folder / "config.json").read_text())
    part = tree
    for name in path.split(".")[:-1]:
        part = part[name]
    part[path.split(".")[-1]] = value
    (folder / "config.json").write_text(json.dumps(tree))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError):
        load_network(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize(
    "text", ["", "[]", "5", "[" * 100_000, '{"a": NaN}', '{"a": 1, "a": 1}', "\xff", "{" + " " * 2_000_000]
)
def test_a_config_that_is_none_is_named(folder: Path, text: str) -> None:
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadFileError, match=r"config\.json"):
        load_network(folder)
