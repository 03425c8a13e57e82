"""The torchmetrics class: sums only, one all-reduce, the same bits on any number of ranks."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from panoptic3d.errors import Panoptic3dError
from panoptic3d.metrics import PanopticReconstructionQuality, score_sample, scores_of
from panoptic3d.metrics.tally import Tally
from tests.metrics.grids import blocks, jittered, truth_of

_WORKER = """
import json
import sys
import numpy as np
import torch
import torch.distributed as dist
from panoptic3d import distributed
from panoptic3d.metrics import PanopticReconstructionQuality
from tests.metrics.test_prq_metric import pairs

if len(sys.argv) > 2:
    rank, size, store = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
calls = []
all_reduce = dist.all_reduce
dist.all_reduce = lambda *a, **k: (calls.append(1), all_reduce(*a, **k))[1]
metric = PanopticReconstructionQuality("strict")
for prediction, truth in distributed.shard(pairs(7)):
    metric.update(prediction, truth)
prq = float(metric.compute()["prq"])
num_reductions = len(calls)
with metric.sync_context():
    result = [metric.sums.tolist(), metric.num_samples, metric.num_failed, prq]
print(json.dumps([num_reductions, result]), flush=True)
distributed.leave(0)
"""


def pairs(count: int) -> list:
    """The same on every rank; the last prediction is missing."""
    made = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        volumes = blocks(rng, 8)
        made.append((jittered(rng, volumes).labelled, truth_of(rng, volumes)))
    made[-1] = (None, made[-1][1])
    return made


@pytest.mark.slow
@pytest.mark.parametrize("num_ranks", [2, 3])
def test_any_number_of_ranks_gives_the_same_sums(num_ranks: int, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(_WORKER)
    store = tmp_path / "store"
    command = [sys.executable, str(script), "ranks"]
    workers = [
        subprocess.Popen([*command, str(rank), str(num_ranks), str(store)], stdout=subprocess.PIPE, text=True)
        for rank in range(num_ranks)
    ]
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * num_ranks
    alone = PanopticReconstructionQuality("strict")
    predictions, truths = zip(*pairs(7), strict=True)
    alone.update(predictions, truths)
    expected = [alone.sums.tolist(), 7, 1, float(alone.compute()["prq"])]
    for num_reductions, result in map(json.loads, outputs):
        assert num_reductions == 1
        assert result == expected


def test_the_class_adds_up_the_function() -> None:
    metric = PanopticReconstructionQuality("uni3d")
    tallies = []
    for prediction, truth in pairs(4)[:-1]:
        metric.update(prediction, truth)
        tallies.append(score_sample(prediction, truth, metric.protocol).tally)
    scores = scores_of(Tally.total(tallies), metric.protocol.mean_over)
    values = metric.compute()
    assert (float(values["prq"]), float(values["rsq_things"])) == (scores.all.prq, scores.things.rsq)
    assert metric.num_samples == 3


def test_a_failure_is_counted_and_scored_as_nothing_predicted() -> None:
    metric = PanopticReconstructionQuality()
    _, truth = pairs(1)[0]
    metric.update(None, truth)
    assert (metric.num_samples, metric.num_failed, metric.num_skipped) == (1, 1, 0)
    assert float(metric.compute()["prq"]) == 0.0
    assert metric.tally.sums[:, 3].sum() == metric.tally.sums[:, 4].sum() > 0


def test_reset_forgets_and_no_sample_is_an_error() -> None:
    metric = PanopticReconstructionQuality()
    metric.update(*pairs(2)[0])
    metric.reset()
    assert not metric.sums.any()
    with pytest.raises(Panoptic3dError, match="PRQ of no sample is undefined"):
        metric.scores()


def test_state_travels_in_a_checkpoint() -> None:
    metric = PanopticReconstructionQuality()
    metric.persistent(True)
    metric.update(*pairs(2)[0])
    other = PanopticReconstructionQuality()
    other.persistent(True)
    other.load_state_dict(metric.state_dict())
    assert torch.equal(other.sums, metric.sums)
