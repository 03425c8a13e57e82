"""Uni-3D's published weights in and out. The names themselves are compared with the reference's in tests/oracle."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from panoptic3d.cli.main import main
from panoptic3d.errors import BadFileError
from panoptic3d.models.checkpoints.family import export_published, import_published
from panoptic3d.models.checkpoints.load import load_network, network_config_of
from panoptic3d.models.checkpoints.published import read_published
from panoptic3d.models.uni3d.build import build_uni3d
from panoptic3d.models.uni3d.config import config_for_published_weights
from panoptic3d.models.uni3d.family import UNI3D

_COUNTER = "num_batches_tracked"
SLOW = pytest.mark.slow


def shapes_of(scales: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        model = build_uni3d(config_for_published_weights("faithful", scales))
    entries = UNI3D.entries(model, only_2d=False)
    return {e.theirs: e.shape for e in entries} | {n: tuple(t.shape) for n, t in UNI3D.constants.items()}


def any_bits(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """So that nothing can pass by being rounded. Numbers that are not finite are refused elsewhere."""
    random = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in shapes.items():
        bits = torch.randint(-(2**31), 2**31, shape, generator=random, dtype=torch.int64)
        number = bits.int().view(torch.float32)
        state[name] = bits if name.endswith(_COUNTER) else torch.where(number.isfinite(), number, 1.0)
    return state | dict(UNI3D.constants)


def only_2d(state: dict) -> dict:
    return {n: t for n, t in state.items() if n.startswith(UNI3D.stage_2d)}


def same_bits(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    def bits(tensor: Tensor) -> Tensor:
        return tensor if tensor.dtype == torch.int64 else tensor.view(torch.int32)

    return set(a) == set(b) and all(torch.equal(bits(a[n]), bits(b[n])) for n in a)


def write(path: Path, state: dict[str, Tensor], **beside: object) -> Path:
    torch.save({"model": state, **beside}, path)
    return path


@pytest.mark.slow
def test_the_sizes_of_the_releases() -> None:
    """Section 9 of the specification."""
    single, multi = shapes_of("single"), shapes_of("multi")
    assert (len(only_2d(single)), len(single), len(multi)) == (840, 980, 1010)
    buffers = ("running_mean", "running_var", _COUNTER, "empty_weight")

    def parameters(shapes: dict) -> int:
        return sum(int(np.prod(shape)) for name, shape in shapes.items() if not name.endswith(buffers))

    assert parameters(only_2d(single)) == 60_903_694
    assert parameters(single) == 70_093_490
    assert parameters(multi) == 71_042_242


@pytest.mark.slow
@pytest.mark.parametrize("scales", ["2d", "single", "multi"])
@pytest.mark.parametrize("suffix", [".pth", ".pkl"])
def test_round_trip_to_the_bit(tmp_path: Path, scales: str, suffix: str) -> None:
    state = any_bits(shapes_of("multi" if scales == "multi" else "single"))
    state = only_2d(state) if scales == "2d" else state
    source = write(tmp_path / "weights.pth", state, iteration=3)
    ours, back = tmp_path / "ours", tmp_path / f"back{suffix}"
    assert main(["import-checkpoint", str(source), "--family", "uni3d", "--out", str(ours)]) == 0
    origin = json.loads((ours / "origin.json").read_text())
    assert (origin["stages"], origin["left_aside"]) == ("2d" if scales == "2d" else "2d and 3d", ["iteration"])
    config = network_config_of(ours)
    assert (config.lift.scales, config.lift.registration) == ("multi" if scales == "multi" else "single", "released")
    assert main(["import-checkpoint", str(ours), "--family", "uni3d", "--out", str(back), "--export"]) == 0
    assert same_bits(read_published(back, "Uni-3D").state, state)
    assert load_network(ours).lift.config.registration == "released"


@pytest.mark.slow
def test_the_exported_dict_says_its_version(tmp_path: Path) -> None:
    """Without it the reference's loader renames the keys of its own head."""
    import_published(
        UNI3D, write(tmp_path / "w.pth", only_2d(any_bits(shapes_of("single")))), tmp_path / "ours", "corrected"
    )
    state = export_published(UNI3D, tmp_path / "ours")
    assert state._metadata["sem_seg_head"] == {"version": 2}
    assert load_network(tmp_path / "ours").lift.config.registration == "exact"
    trained = json.loads((tmp_path / "ours" / "config.json").read_text())
    trained["voxel_net"]["even_kernels"] = "centred"
    (tmp_path / "ours" / "config.json").write_text(json.dumps(trained))
    with pytest.raises(BadFileError, match="centred kernels"):
        export_published(UNI3D, tmp_path / "ours")


class _Runs:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.path,)


def refusal(path: Path, out: Path, capsys: pytest.CaptureFixture) -> str:
    assert main(["import-checkpoint", str(path), "--family", "uni3d", "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    assert not out.exists()
    return captured.err


@pytest.mark.parametrize("suffix", [".pth", ".pkl"])
def test_code_in_a_pickle_is_refused_and_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture, suffix: str
) -> None:
    trap = tmp_path / "it-ran"
    content = {"model": {"backbone.stem.conv1.weight": np.zeros(1, np.float32)}, "hook": _Runs(str(trap))}
    path = tmp_path / f"evil{suffix}"
    if suffix == ".pkl":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    assert "run code" in refusal(path, tmp_path / "ours", capsys)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cut.pth", b"PK\x03\x04", "cut short"),
        ("text.pkl", b"<html>404</html>", "no checkpoint"),
        ("empty.pkl", b"", "cut short"),
        ("list.pkl", pickle.dumps([1]), "not a dictionary"),
        ("other.pkl", pickle.dumps({"state_dict": {}}), "no entry `model`"),
        ("words.pkl", pickle.dumps({"model": {"a": np.array(["x"])}}), "no dictionary of tensors"),
        ("extra.pkl", pickle.dumps({"model": {}, "ema": {}}), "the entries ema"),
    ],
)
def test_files_that_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in refusal(tmp_path / name, tmp_path / "ours", capsys)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({}, "840 missing, first backbone.stem.conv1.weight"),
        pytest.param({"fc.weight": torch.zeros(2)}, "980 missing", marks=SLOW),
        pytest.param(
            *({"completion.feature_adapters.0.0.bn1.bias": torch.zeros(1, 16)}, "1009 missing"), marks=pytest.mark.slow
        ),
        ({"backbone.stem.conv1.norm.bias": torch.zeros(63)}, "((63,) where (64,) belongs)"),
        pytest.param(
            *({"backbone.stem.conv1.norm.bias": torch.zeros(64).half()}, "torch.float16 where float32 belongs"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *({"criterion.empty_weight": torch.ones(14)}, "a constant of the method with other numbers"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_everything_is_accounted_for(
    tmp_path: Path, capsys: pytest.CaptureFixture, state: dict[str, Tensor], said: str
) -> None:
    assert said in refusal(write(tmp_path / "weights.pth", state), tmp_path / "ours", capsys)
