"""Checkpoints on a Hugging Face hub: fetched into its cache, and pushed as a folder (extra `[hub]`)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.models.checkpoints.find import find_checkpoint, shipped_checkpoints
from panoptic3d.optional import require

FILES = ("*.json", "*.safetensors", "MODEL_CARD.md", "README.md", "LICENSE*")  # what a checkpoint is made of
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def find_or_fetch(
    name: str | Path | None, revision: str | None = None, token: str | None = None, cache_dir: str | Path | None = None
) -> Path:
    """A shipped name, a folder, or `org/name` on the hub. What lies on this machine comes first."""
    if name is None or str(name) in shipped_checkpoints() or Path(name).is_dir() or not _is_repository(str(name)):
        return find_checkpoint(name)
    hub = require("huggingface_hub", f"the checkpoint {str(name)!r}, which is neither shipped nor a folder here,")
    with _explained(hub, f"{name} cannot be fetched from the hub"):
        folder = hub.snapshot_download(
            str(name), revision=revision, token=token, cache_dir=cache_dir, allow_patterns=list(FILES)
        )
    return find_checkpoint(folder)


def push(folder: Path, repository: str, private: bool = False, token: str | None = None) -> str:
    """Upload the files of a checkpoint, and its model card as the page of the repository. Returns the address."""
    if not _is_repository(repository):
        raise InputError(f"a repository on the hub is named like 'org/name', not {repository!r}.")
    hub = require("huggingface_hub", "pushing a checkpoint")
    with _explained(hub, f"{repository} cannot be written on the hub"):
        api = hub.HfApi(token=token)
        api.create_repo(repository, private=private, exist_ok=True)
        card = folder / "MODEL_CARD.md"
        if card.is_file():
            api.upload_file(path_or_fileobj=card.read_bytes(), path_in_repo="README.md", repo_id=repository)
        done = api.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=list(FILES))
    return str(done)


def _is_repository(name: str) -> bool:
    return _REPOSITORY.fullmatch(name) is not None


@contextmanager
def _explained(hub: ModuleType, what: str) -> Iterator[None]:
    """What the client raises becomes one sentence."""
    try:
        yield
    except (hub.errors.HfHubHTTPError, OSError, ValueError) as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise Panoptic3dError(f"{what} ({why}); check the name, the network and the token.") from error
