"""Checkpoints by the name of a hub, with its client faked: a folder stands for the hub."""

import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from panoptic3d.errors import InputError, MissingPartError, Panoptic3dError
from panoptic3d.models.checkpoints.find import shipped_checkpoints
from panoptic3d.models.checkpoints.hub import find_or_fetch, push
from panoptic3d.predictor.predictor import Predictor
from tests.predictor.echo import Echo


class FakeHub(ModuleType):
    """What the client's functions of the same names do, with folders below `root` as repositories."""

    def __init__(self, root: Path) -> None:
        super().__init__("huggingface_hub")
        self.root, self.calls = root, []
        self.errors = SimpleNamespace(HfHubHTTPError=type("HfHubHTTPError", (Exception,), {}))

    def snapshot_download(self, repo_id: str, **options: Any) -> str:
        self.calls.append((repo_id, options))
        if not (self.root / repo_id).is_dir():
            raise self.errors.HfHubHTTPError("404 Client Error.\nRepository Not Found")
        shutil.copytree(self.root / repo_id, self.root / "cache" / "0123abcd", dirs_exist_ok=True)
        return str(self.root / "cache" / "0123abcd")

    def HfApi(self, token: str | None = None) -> "FakeHub":  # noqa: N802, the client's name
        return self

    def create_repo(self, repo_id: str, private: bool, exist_ok: bool) -> None:
        (self.root / repo_id).mkdir(parents=True, exist_ok=exist_ok)

    def upload_file(self, path_or_fileobj: bytes, path_in_repo: str, repo_id: str) -> None:
        (self.root / repo_id / path_in_repo).write_bytes(path_or_fileobj)

    def upload_folder(self, repo_id: str, folder_path: Path, allow_patterns: list[str]) -> str:
        for pattern in allow_patterns:
            for path in folder_path.glob(pattern):
                shutil.copy(path, self.root / repo_id / path.name)
        return f"https://hub/{repo_id}"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub(tmp_path / "hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    return fake


@pytest.mark.slow  # opens four networks
def test_a_checkpoint_goes_to_the_hub_and_back(hub: FakeHub, tmp_path: Path) -> None:
    predictor = Predictor.from_pretrained("tiny", device="cpu")
    assert predictor.push_to_hub("org/rooms") == "https://hub/org/rooms"
    assert (hub.root / "org/rooms/README.md").read_text().startswith("#")
    again = Predictor.from_pretrained("org/rooms", device="cpu", revision="main")
    assert hub.calls == [
        (
            "org/rooms",
            {"revision": "main", "token": None, "cache_dir": None, "allow_patterns": hub.calls[0][1]["allow_patterns"]},
        )
    ]
    assert again.network.checkpoint["sha256"] == predictor.network.checkpoint["sha256"]
    assert again.network.checkpoint["name"] == "org/rooms"
    predictor.save_pretrained(tmp_path / "copy")
    copied = Predictor.from_pretrained(tmp_path / "copy", device="cpu")
    assert copied.network.checkpoint["sha256"] == predictor.network.checkpoint["sha256"]
    with pytest.raises(InputError, match="not empty"):
        predictor.save_pretrained(tmp_path / "copy")


def test_a_checkpoint_takes_no_place_of_a_file(tmp_path: Path) -> None:
    network = Echo()
    network.folder = shipped_checkpoints()["tiny"]
    (tmp_path / "file").write_text("precious")
    with pytest.raises(InputError, match="is no folder"):
        Predictor(network=network).save_pretrained(tmp_path / "file")
    Predictor(network=network).save_pretrained(tmp_path / "new" / "copy")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["copy"]
    assert (tmp_path / "new" / "copy" / "config.json").is_file()


def test_what_is_here_comes_before_the_hub(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_or_fetch("tiny") == shipped_checkpoints()["tiny"]
    shutil.copytree(shipped_checkpoints()["tiny"], tmp_path / "org" / "name")
    monkeypatch.chdir(tmp_path)
    assert find_or_fetch("org/name") == Path("org/name")
    assert hub.calls == []


def test_trouble_with_the_hub_is_one_sentence(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        Panoptic3dError, match=r"org/none cannot be fetched from the hub \(404 Client Error\. Repository Not Found\); "
    ):
        find_or_fetch("org/none")
    with pytest.raises(InputError, match="named like 'org/name', not 'rooms'"):
        push(shipped_checkpoints()["tiny"], "rooms")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingPartError, match=r"pip install 'panoptic3d\[hub\]'"):
        find_or_fetch("org/none")


@pytest.mark.slow
def test_the_real_client_without_a_network_gets_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = pytest.importorskip("huggingface_hub", reason="pip install 'panoptic3d[hub]'")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert client.__name__ == "huggingface_hub"
    with pytest.raises(Panoptic3dError, match=r"^org/none cannot be fetched from the hub \([^\n]*; check the name"):
        find_or_fetch("org/none", cache_dir=tmp_path)
    with pytest.raises(Panoptic3dError, match=r"^org/none cannot be written on the hub \([^\n]*; check the name"):
        push(shipped_checkpoints()["tiny"], "org/none")
