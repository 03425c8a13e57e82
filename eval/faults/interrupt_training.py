"""Interrupt a short training with SIGINT at random steps, start it again each time, and compare it with an unbroken run.

    python -m eval.faults.interrupt_training --times 10

Every interruption must end with exit code 75 and lose no step. At the end weights, averages, and the loss curve must be
equal to the bit.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import yaml

from eval.faults.inputs import REPOSITORY, small_rooms, training
from panoptic3d.engine.training.checkpoint import newest_intact, read_training, read_weights
from panoptic3d.engine.training.signals import EXIT_TO_BE_RESTARTED
from panoptic3d.machine import describe_machine
from panoptic3d.tracking.json_lines import read_json_lines

_WAIT_S = 3600.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=10, metavar="N")
    parser.add_argument("--steps", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=25)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = measure(Path(name), asked.times, asked.steps, random.Random(asked.seed))
    print(json.dumps({"machine": describe_machine(), **result}, indent=2))
    return 0 if result["is_equal_to_the_bit"] and result["steps_lost"] == 0 else 1


def measure(folder: Path, times: int, num_steps: int, draw: random.Random) -> dict:
    small_rooms(folder, num_rooms=5)
    config = folder / "train.yaml"
    config.write_text(yaml.safe_dump(training(folder / "rooms", num_steps)))
    whole, cut = folder / "whole", folder / "cut"
    assert _start(config, whole).wait(_WAIT_S) == 0
    wanted = sorted(draw.sample(range(1, num_steps - 5), times))
    stopped_at, lost = [], 0
    for step in wanted:
        seen = _interrupt(config, cut, step)
        saved = newest_intact(cut / "checkpoints")
        assert saved is not None
        stopped_at.append(read_training(saved)["step"])
        lost += seen - stopped_at[-1]
    assert _start(config, cut).wait(_WAIT_S) == 0
    return {
        "steps": num_steps,
        "wanted": wanted,
        "stopped_at": stopped_at,
        "steps_lost": lost,
        "is_equal_to_the_bit": _is_same(whole, cut),
    }


def _interrupt(config: Path, run: Path, step: int) -> int:
    """SIGINT as soon as the step is recorded, and one of this start; the last step that was recorded."""
    begins_at = _last_step(run)
    process = _start(config, run)
    end_s = time.monotonic() + _WAIT_S
    while _last_step(run) < max(step, begins_at + 1):
        assert process.poll() is None, "the run ended before it was interrupted; give more --steps"
        assert time.monotonic() < end_s
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    code = process.wait(_WAIT_S)
    assert code == EXIT_TO_BE_RESTARTED, code
    return _last_step(run)


def _last_step(run: Path) -> int:
    path = run / "metrics.jsonl"
    return max((record["step"] for record in read_json_lines(path)), default=0) if path.exists() else 0


def _start(config: Path, run: Path) -> subprocess.Popen:
    words = [sys.executable, "-m", "panoptic3d", "train", str(config), "--folder", str(run)]
    with run.with_suffix(".log").open("a") as log:
        return subprocess.Popen(words, cwd=REPOSITORY, stdout=log, stderr=log)


def _is_same(whole: Path, cut: Path) -> bool:
    a, b = (read_weights(run / "checkpoints" / "latest") for run in (whole, cut))
    curves = [
        [
            (record["step"], record["train/loss"])
            for record in read_json_lines(run / "metrics.jsonl")
            if "train/loss" in record
        ]
        for run in (whole, cut)
    ]
    return curves[0] == curves[1] and a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


if __name__ == "__main__":
    sys.exit(main())
