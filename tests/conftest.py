"""Shape checks of every annotated function, and the fixtures that several rooms share."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# Before anything of ours is imported: jaxtyping's annotations are checked by beartype under pytest only.
install_import_hook("panoptic3d", "beartype.beartype")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def real_root() -> Path:
    """The folder with real samples, which the project may not carry."""
    root = Path(os.environ.get("PANOPTIC3D_REAL", REPOSITORY.parent / "shared" / "real"))
    if not (root / "front3d" / "frustum_mask.npz").is_file():
        pytest.skip(f"no real samples at {root}; set PANOPTIC3D_REAL to a folder with front3d/ and matterport-sample/")
    return root
