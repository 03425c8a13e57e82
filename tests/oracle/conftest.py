"""`pytest tests/oracle --oracle-root DIR`: compare with what public reference implementations gave.

A folder is recognised by its files; every test names the kind that it needs and is skipped, with the reason, elsewhere.
"""

import os
from pathlib import Path

import pytest

from tests.oracle.prq_cases import read_expected

# A kind of folder -> files (or patterns) that are in every folder of that kind. The first kind that fits is the folder's.
KINDS = {
    "prq": ("expected.json", "cases"),
    "uni3d": ("names_shapes.json", "overrides.npz", "frustum.npz"),
    "buol": ("names_shapes.json", "overrides.npz", "*/stuff_depth.npz"),
    "panorecon": ("names_shapes.json", "overrides.npz"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--oracle-root", metavar="DIR", help="a folder of expected values (see tests/oracle/conftest.py)")


def pytest_configure(config: pytest.Config) -> None:
    root = oracle_root(config)
    if root is not None and kind_of(root) is None:
        kinds = "; ".join(f"{kind}: {', '.join(files)}" for kind, files in KINDS.items())
        raise pytest.UsageError(f"--oracle-root {root} holds no known kind of oracle data ({kinds})")


def oracle_root(config: pytest.Config) -> Path | None:
    value = config.getoption("--oracle-root", default=None)
    return Path(value).resolve() if value else None


def kind_of(root: Path) -> str | None:
    return next((kind for kind, files in KINDS.items() if all(any(root.glob(name)) for name in files)), None)


def root_of_kind(config: pytest.Config, kind: str) -> Path | None:
    root = oracle_root(config)
    return root if root is not None and kind_of(root) == kind else None


@pytest.fixture(scope="session")
def prq_root(pytestconfig: pytest.Config) -> Path:
    return _required(pytestconfig, "prq")


@pytest.fixture(scope="session")
def panorecon_root(pytestconfig: pytest.Config) -> Path:
    return _required(pytestconfig, "panorecon")


@pytest.fixture(scope="session")
def uni3d_root(pytestconfig: pytest.Config) -> Path:
    return _required(pytestconfig, "uni3d")


@pytest.fixture(scope="session")
def buol_root(pytestconfig: pytest.Config) -> Path:
    return _required(pytestconfig, "buol")


@pytest.fixture(scope="session")
def front3d_root(pytestconfig: pytest.Config, prq_root: Path, repository: Path) -> Path:
    """The released frames that the cases refer to: PANOPTIC3D_REAL, beside the project, or beside the oracle data."""
    beside = [repository.parent / "shared" / "real", *(parent / "real" for parent in prq_root.parents)]
    named = [Path(os.environ["PANOPTIC3D_REAL"])] if "PANOPTIC3D_REAL" in os.environ else []
    for root in (*named, *beside):
        if (root / "front3d" / "frustum_mask.npz").is_file():
            return root / "front3d"
    pytest.fail("the oracle's cases need the released frames; set PANOPTIC3D_REAL to the folder that holds front3d/")


def _required(config: pytest.Config, kind: str) -> Path:
    root = root_of_kind(config, kind)
    if root is None:
        pytest.skip(f"needs --oracle-root with a folder of the kind {kind!r} ({', '.join(KINDS[kind])})")
    return root


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    root = root_of_kind(metafunc.config, "prq")
    if root is None:
        absent = pytest.param(None, marks=pytest.mark.skip(reason=f"needs --oracle-root with {KINDS['prq']} in it"))
        for name in {"case", "mode"} & {*metafunc.fixturenames}:
            metafunc.parametrize(name, [absent])
        return
    expected = read_expected(root)
    if "case" in metafunc.fixturenames:
        # Cases of one frame side by side: reading a frame takes longer than scoring it.
        cases = sorted(expected["cases"], key=lambda case: (case["frame"], case["id"]))
        metafunc.parametrize("case", cases, ids=[case["id"] for case in cases], scope="module")
    if "mode" in metafunc.fixturenames:
        metafunc.parametrize("mode", expected["modes"])
