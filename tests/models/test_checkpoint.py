"""Published weights in and out. The names themselves are compared with the reference's in tests/oracle."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from panoptic3d.cli.main import main
from panoptic3d.errors import BadFileError
from panoptic3d.models.checkpoints.family import export_published, import_published
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.panorecon.build import build_panorecon
from panoptic3d.models.panorecon.config import config_for_published_weights
from panoptic3d.models.panorecon.family import PANORECON
from panoptic3d.models.panorecon.names import old_name

STAGE_2D = PANORECON.stage_2d


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """A state dict of the size and names of the release. Any bits of finite numbers, so that nothing passes by rounding."""
    with torch.device("meta"):
        shapes = {
            n: t.shape for n, t in PANORECON.state_of(build_panorecon(config_for_published_weights("faithful"))).items()
        }
    random = torch.Generator().manual_seed(0)
    state = {
        name: (
            torch.randint(-(2**31), 2**31, tuple(shape), generator=random, dtype=torch.int64).int() & ~(1 << 23)
        ).view(torch.float32)
        for name, shape in shapes.items()
    }
    return state | dict(PANORECON.constants)


@pytest.fixture(scope="module")
def whole_file(published: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("published") / "weights.pth", published)


@pytest.fixture(scope="module")
def imported(whole_file: Path) -> Path:
    """The folder of an import. Read only."""
    import_published(PANORECON, whole_file, whole_file.parent / "ours", "corrected")
    return whole_file.parent / "ours"


def write(path: Path, state: dict[str, Tensor], **beside: object) -> Path:
    torch.save({"model": state, **beside}, path)
    return path


def same_bits(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[n].view(torch.int32), b[n].view(torch.int32)) for n in a)


def test_the_size_of_the_release(published: dict[str, Tensor]) -> None:
    """Section 8 of the specification."""
    assert len(published) == 519
    assert sum(tensor.numel() for tensor in published.values()) == 27_692_083
    only_2d = sum(tensor.numel() for name, tensor in published.items() if name.startswith(STAGE_2D))
    assert round(only_2d / 1e6, 2) == 17.96
    assert published["frustum3d.model.model.submodule.decoder.0.kernel"].shape == (64, 125, 32)
    assert published["frustum3d.model.model.encoder_depth.0.downsample.0.kernel"].shape == (2, 16)


@pytest.mark.parametrize(
    ("names", "stages"),
    [
        ("present", "2d and 3d"),
        ("first upload", "2d and 3d"),
        pytest.param("present", "2d", marks=pytest.mark.slow),
        pytest.param("first upload", "2d", marks=pytest.mark.slow),
    ],
)
def test_round_trip_to_the_bit(published: dict[str, Tensor], tmp_path: Path, names: str, stages: str) -> None:
    state = {n: t for n, t in published.items() if stages != "2d" or n.startswith(STAGE_2D)}
    if names == "first upload":
        state = {old_name(n): t for n, t in state.items()}
    imported = import_published(PANORECON, write(tmp_path / "weights.pth", state), tmp_path / "ours")
    assert len(imported.report.taken) == len(state) - 2
    has_old = names == "first upload" and stages != "2d"
    assert bool(imported.report.renamed) == has_old
    origin = json.loads((tmp_path / "ours" / "origin.json").read_text())
    assert (origin["stages"], origin["names"]) == (stages, "first upload" if has_old else "present")
    assert same_bits(export_published(PANORECON, tmp_path / "ours"), state)


def test_old_names_are_those_of_the_first_upload(published: dict[str, Tensor]) -> None:
    renamed = {n: old_name(n) for n in published if old_name(n) != n}
    assert len(set(renamed.values())) == len(renamed)
    assert renamed["frustum3d.surface_head.network.3.bias"] == "frustum3d.completion_head.network.3.bias"
    assert renamed["frustum3d.model.model.submodule.proxy_occupancy_64_head.0.bias"].endswith("proxy_conv1.0.bias")
    assert "frustum3d.model.model.proxy_semantic_128_head.1.bias" not in renamed


def test_sparse_kernels_are_turned_and_not_reinterpreted(published: dict[str, Tensor], imported: Path) -> None:
    """Theirs counts x fastest, ours z fastest: tap (x, y, z) of a 4^3 kernel."""
    theirs = published["frustum3d.model.model.decoder.0.kernel"].view(torch.int32)
    ours = load_file(imported / "model.safetensors")["voxel_net.generate256.conv.weight"].view(torch.int32)
    x, y, z = 1, 2, 3
    assert torch.equal(ours[(x * 4 + y) * 4 + z], theirs[x + 4 * y + 16 * z])


def test_training_checkpoints_lose_their_optimizer_by_name(published: dict[str, Tensor], tmp_path: Path) -> None:
    state = {n: t for n, t in published.items() if n.startswith(STAGE_2D)}
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    path = write(tmp_path / "model_0000003.pth", state, optimizer=optimizer, scheduler={"last_epoch": 3}, iteration=3)
    assert import_published(PANORECON, path, tmp_path / "ours").left_aside == ("optimizer", "scheduler", "iteration")


def test_checkpoints_with_ordinary_norms_bring_their_counters(tmp_path: Path) -> None:
    """As `front3d_train_2d.yaml` trains."""
    config = config_for_published_weights("faithful", "batch")
    state = {n: t for n, t in PANORECON.state_of(build_panorecon(config)).items() if n.startswith(STAGE_2D)}
    assert any(n.endswith("num_batches_tracked") for n in state)
    imported = import_published(PANORECON, write(tmp_path / "weights.pth", state), tmp_path / "ours")
    assert imported.config.trunk.norm == "batch"
    back = export_published(PANORECON, tmp_path / "ours")
    assert set(back) == set(state)
    assert all(torch.equal(back[n], state[n]) for n in state)


def test_a_folder_is_a_pipeline_in_either_mode(imported: Path) -> None:
    assert load_network(imported).lift.config.registration == "exact"
    faithful = load_network(imported, config=config_for_published_weights("faithful"))
    assert faithful.lift.config.registration == "released"


class _Runs:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.path,)


def refusal(path: Path, out: Path, capsys: pytest.CaptureFixture) -> str:
    assert main(["import-checkpoint", str(path), "--family", "panorecon", "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    assert not out.exists()
    return captured.err


def test_code_in_a_pickle_is_refused_and_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    trap = tmp_path / "it-ran"
    torch.save({"model": {"encoder2d.conv1.weight": torch.zeros(1)}, "hook": _Runs(str(trap))}, tmp_path / "evil.pth")
    assert "run code" in refusal(tmp_path / "evil.pth", tmp_path / "ours", capsys)
    torch.save(_Runs(str(trap)), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert "run code" in refusal(tmp_path / "old.pth", tmp_path / "ours", capsys)
    assert not trap.exists()


def test_files_that_are_none(whole_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "ours"
    with open(whole_file, "rb") as file:
        (tmp_path / "short.pth").write_bytes(file.read(5_000_000))
    assert "cut short" in refusal(tmp_path / "short.pth", out, capsys)
    (tmp_path / "text.pth").write_text("<html>404</html>")
    assert "no checkpoint" in refusal(tmp_path / "text.pth", out, capsys)
    (tmp_path / "empty.pth").write_bytes(b"")
    assert "cut short" in refusal(tmp_path / "empty.pth", out, capsys)
    assert "not there" in refusal(tmp_path / "nowhere.pth", out, capsys)
    torch.save({"state_dict": {}}, tmp_path / "other.pth")
    assert "no entry `model`" in refusal(tmp_path / "other.pth", out, capsys)
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    assert "not a dictionary" in refusal(tmp_path / "list.pth", out, capsys)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda state: state.pop("encoder2d.bn1.bias"), "1 missing, first encoder2d.bn1.bias"),
        (lambda state: state.update({"fc.weight": torch.zeros(2)}), "1 unexpected, first fc.weight"),
        (
            lambda state: state.update({"encoder2d.bn1.bias": torch.zeros(63)}),
            "1 of another shape, first encoder2d.bn1.bias ((63,) where (64,) belongs)",
        ),
        (
            lambda state: state.update({"encoder2d.bn1.bias": torch.zeros(64).half()}),
            "torch.float16 where float32 belongs",
        ),
        (
            lambda state: state.update({"instance2d.rpn.anchor_generator.cell_anchors.0": torch.zeros(15, 4)}),
            "a constant of the method with other numbers",
        ),
        (lambda state: state.clear(), "missing"),
        # One tensor of the 3D stage makes it a file of both stages.
        (
            lambda state: state.update({"frustum3d.completion_head.network.0.bias": torch.zeros(1, 16)}),
            "160 missing, first frustum3d.model",
        ),
    ],
)
def test_everything_is_accounted_for(
    published: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture, edit, said: str
) -> None:
    state = {n: t for n, t in published.items() if n.startswith(STAGE_2D)}
    edit(state)
    assert said in refusal(write(tmp_path / "weights.pth", state), tmp_path / "ours", capsys)


@pytest.mark.slow
def test_the_command_there_and_back(
    published: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = write(tmp_path / "weights.pth", published)
    ours, back = tmp_path / "ours", tmp_path / "back.pth"
    assert main(["import-checkpoint", str(path), "--family", "panorecon", "--out", str(ours), "--keys"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("taken     ") == 517
    assert printed.count("constant  ") == 2
    assert main(["import-checkpoint", str(ours), "--family", "panorecon", "--out", str(back), "--export"]) == 0
    assert same_bits(torch.load(back, weights_only=True)["model"], published)


def test_a_folder_that_was_broken_is_named(imported: Path, tmp_path: Path) -> None:
    for name in ("config.json", "origin.json"):
        shutil.copy(imported / name, tmp_path)
    with open(imported / "model.safetensors", "rb") as file:
        (tmp_path / "model.safetensors").write_bytes(file.read(1000))
    with pytest.raises(BadFileError, match="import it again"):
        load_network(tmp_path)
    shutil.copy(imported / "model.safetensors", tmp_path)
    (tmp_path / "origin.json").write_text("{")
    with pytest.raises(BadFileError, match=r"origin\.json: expected where a checkpoint comes from"):
        load_network(tmp_path)


def test_a_folder_that_was_trained_needs_no_origin(imported: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        os.link(imported / name, tmp_path / name)
    assert load_network(tmp_path).lift.config.registration == "exact"
    assert len(export_published(PANORECON, tmp_path)) == 519


@pytest.mark.slow
def test_weights_and_config_must_agree(imported: Path, tmp_path: Path) -> None:
    config = json.loads((imported / "config.json").read_text())
    os.link(imported / "model.safetensors", tmp_path / "model.safetensors")
    narrow = config | {"voxel_net": config["voxel_net"] | {"width": 4}}
    (tmp_path / "config.json").write_text(json.dumps(narrow))
    with pytest.raises(BadFileError, match="does not fit its config"):
        load_network(tmp_path)
    centred = config | {"voxel_net": config["voxel_net"] | {"even_kernels": "centred"}}
    (tmp_path / "config.json").write_text(json.dumps(centred))
    with pytest.raises(BadFileError, match="centred kernels, which the reference does not have"):
        export_published(PANORECON, tmp_path)
