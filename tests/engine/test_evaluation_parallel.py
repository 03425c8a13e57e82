"""Any number of processes or ranks gives the same result."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from panoptic3d.engine.evaluation.run import carry_out
from tests.engine.conftest import Workshop

_WORKER = """
import sys
from pathlib import Path
from panoptic3d import distributed
from panoptic3d.engine.evaluation.run import carry_out
from tests.engine.conftest import Workshop
code = carry_out(Workshop(Path(sys.argv[1])).order(json=sys.argv[2], records=sys.argv[3]))
distributed.leave(code)
"""


@pytest.fixture
def expected(workshop: Workshop) -> dict:
    workshop.prediction("b/0000").unlink()
    carry_out(workshop.order())
    return json.loads((workshop.folder / "out.json").read_text())


@pytest.mark.slow
def test_two_ranks_give_the_same_result(workshop: Workshop, expected: dict, tmp_path: Path) -> None:
    script, out, records = tmp_path / "worker.py", tmp_path / "ranks.json", tmp_path / "ranks.jsonl"
    script.write_text(_WORKER)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launcher, str(script), str(workshop.folder), str(out), str(records)]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert json.loads(out.read_text()) == expected
    assert finished.stdout.count("panoptic reconstruction quality") == 1
    assert len(records.read_text().splitlines()) == 4
    assert not list(tmp_path.glob("*.rank*"))


@pytest.mark.slow
def test_two_workers_give_the_same_result(
    workshop: Workshop, expected: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("panoptic3d.engine.evaluation.score._MIN_SAMPLES_A_WORKER", 1)
    out = tmp_path / "workers.json"
    carry_out(workshop.order(json=str(out), num_workers=2))
    assert json.loads(out.read_text()) == expected
