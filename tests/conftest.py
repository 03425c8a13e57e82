"""Shape checks of every annotated function, and the fixtures that several rooms share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Before anything of ours is imported: jaxtyping's annotations are checked by beartype under pytest only.
install_import_hook("panoptic3d", "beartype.beartype")

REPOSITORY = Path(__file__).resolve().parents[1]

# Processes that tests start import this checkout, installed or not.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))

# Each xdist worker is one process on its core: torch's own threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("default", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("default")


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
