import subprocess
import sys
from pathlib import Path

import pytest
import torch

from panoptic3d import distributed

_WORKER = """
import sys
import torch
from panoptic3d import distributed
distributed.start(torch.device("cpu"))
rank = distributed.rank()
assert distributed.world_size() == 2
assert distributed.sum_over_ranks(torch.tensor([1.0, rank])).tolist() == [2.0, 1.0]
assert distributed.gather_objects(f"rank {rank}") == ["rank 0", "rank 1"]
parts = distributed.gather_objects(distributed.shard(range(5)))
assert parts == [[0, 2, 4], [1, 3]], parts
print("fine", flush=True)
distributed.leave(0)
"""


def test_one_process_needs_no_group() -> None:
    distributed.start(torch.device("cpu"))
    assert (distributed.rank(), distributed.world_size(), distributed.is_main()) == (0, 1, True)
    tensor = torch.ones(2)
    total = distributed.sum_over_ranks(tensor)
    assert torch.equal(total, tensor)
    assert total is not tensor
    assert distributed.shard([1, 2, 3]) == [1, 2, 3]
    assert distributed.gather_objects("x") == ["x"]


@pytest.mark.slow
def test_two_processes_agree(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(_WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("fine") == 2
