"""Shape checks of every annotated function, and the fixtures that several rooms share."""

import gc
import os
import shutil
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


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real samples are large: their tests are slow ones."""
    for item in items:
        if "real" in item.keywords:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """What is imported by now stays: every fifth test waited 0.4 s while all of it was looked through for garbage."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="session")
def box_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root in the released layout and size: scenes `room-0` and `room-1` of boxes, one frame `0001` each.

    Made once for all workers of a test run. Read only: copy what you break.
    """
    from panoptic3d.data.frames import sample_from_frame
    from panoptic3d.data.front3d_writer import write_front3d_sample, write_frustum_mask
    from panoptic3d.rooms.analytic.boxes import random_room, render

    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "box-root"
    if not root.exists():
        own = tmp_path_factory.mktemp("box-root-in-the-making")
        for seed in range(2):
            frame = render(random_room(seed))
            write_front3d_sample(own, sample_from_frame(frame, f"room-{seed}", "0001"))
        write_frustum_mask(own, frame.frustum_mask)
        try:
            own.rename(root)
        except OSError:  # another worker was first
            shutil.rmtree(own)
    return root


@pytest.fixture(scope="session")
def small_rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed root of five tiny rooms with a grid of their own: `room/0000` to `room/0004`. Read only."""
    from panoptic3d.data.front3d_writer import write_front3d_sample, write_frustum_mask
    from panoptic3d.data.packed.pack import pack_root
    from panoptic3d.data.roots import open_root
    from tests.data.conftest import CAMERA, GRID, make_sample

    base = tmp_path_factory.mktemp("rooms")
    for seed in range(5):  # odd: two ranks cannot share them evenly
        sample = make_sample(seed, f"{seed:04d}")
        write_front3d_sample(base / "released", sample)
    assert sample.truth is not None
    write_frustum_mask(base / "released", sample.truth.frustum_mask)
    released = open_root(base / "released", camera=CAMERA, grid=GRID)
    assert not pack_root(released, base / "packed", released.keys()).failed
    return base / "packed"
