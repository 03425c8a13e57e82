"""`import panoptic3d` and `--help` stay light: the law that keeps the command line quick and optional parts optional."""

import subprocess
import sys

import pytest

from panoptic3d.cli.main import VERBS
from panoptic3d.optional import PARTS

_HEAVY = ("torch", "numpy", "scipy", "skimage", "PIL", "pydantic", "trimesh")


def _modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sorted(name.partition('.')[0] for name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


def test_import_of_the_package_is_light() -> None:
    assert not _modules_after("import panoptic3d") & {*_HEAVY, *PARTS}


def test_every_public_name_resolves_without_optional_packages() -> None:
    code = "import panoptic3d\nfor name in panoptic3d.__all__: getattr(panoptic3d, name)"
    assert not _modules_after(code) & {*PARTS}


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_imports_nothing_heavy(verb: str) -> None:
    words = [*verb.split(), "--help"]
    code = f"from panoptic3d.cli import main\ntry: main({words!r})\nexcept SystemExit: pass"
    assert not _modules_after(code) & {*_HEAVY, *PARTS}
