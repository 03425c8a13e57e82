"""Kill a short training again and again, in checkpointing too, and see whether it ends with the weights of one left alone.

    python -m eval.faults.kill_training --kills 20 --terms 5

Prints faults injected and survived, steps of work lost, and checkpoints that could not be read (there must be none). A third
of the kills wait until a checkpoint is being written, the others come at random moments from the start of the process on.
"""

import argparse
import json
import os
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
from panoptic3d.engine.training.checkpoint import all_checkpoints, damage_of, read_training, read_weights
from panoptic3d.engine.training.signals import EXIT_TO_BE_RESTARTED
from panoptic3d.machine import describe_machine
from panoptic3d.tracking.json_lines import read_json_lines

_WAIT_S = 600.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="SIGKILL")
    parser.add_argument("--terms", type=int, default=5, metavar="N", help="SIGTERM")
    parser.add_argument("--steps", type=int, default=300, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = measure(Path(name), arguments.kills, arguments.terms, arguments.steps, random.Random(arguments.seed))
    print(json.dumps({"machine": describe_machine(), **result}, indent=2))
    return 0 if result["is_survived"] else 1


def measure(folder: Path, num_kills: int, num_terms: int, num_steps: int, draw: random.Random) -> dict:
    config = _config(folder, num_steps)
    started = time.monotonic()
    assert _start(config, folder / "whole").wait(_WAIT_S) == 0
    whole_s = time.monotonic() - started
    faults = ["kill while a checkpoint is written"] * (num_kills // 3)
    faults += ["kill"] * (num_kills - len(faults)) + ["term"] * num_terms
    draw.shuffle(faults)
    run = folder / "cut"
    lost = [_inject(fault, config, run, draw) for fault in faults]
    assert _start(config, run).wait(_WAIT_S) == 0
    same = _same(folder / "whole", run)
    unreadable = sum(entry["unreadable"] for entry in lost)
    killed = [entry for entry in lost if entry["fault"] != "term"]
    return {
        "steps": num_steps,
        "checkpoint_every": 5,
        "injected": {fault: faults.count(fault) for fault in sorted(set(faults))},
        "hit_while_writing": sum(entry["was_writing"] for entry in lost),
        "steps_lost_to_kills": {
            "total": sum(e["lost"] for e in killed),
            "most": max((e["lost"] for e in killed), default=0),
        },
        "steps_lost_to_terms": sum(entry["lost"] for entry in lost if entry["fault"] == "term"),
        "unreadable_checkpoints": unreadable,
        "final_weights_equal_to_the_bit": same,
        "seconds_left_alone": round(whole_s, 1),
        "is_survived": same and unreadable == 0,
    }


def _inject(fault: str, config: Path, run: Path, draw: random.Random) -> dict:
    """One start of the run that ends by force."""
    checkpoints = run / "checkpoints"
    process = _start(config, run)
    begins_s = time.monotonic()
    delay_s = draw.uniform(0.0, 25.0)
    while fault != "kill while a checkpoint is written" and time.monotonic() - begins_s < delay_s:
        time.sleep(0.002)
    if fault == "term":  # before Python has put the handler in place it is an ordinary end
        _wait_until(lambda: _first_log_line(run) > begins_s)
    if fault == "kill while a checkpoint is written":
        _wait_until(lambda: any(checkpoints.glob(".partial-*/*")))
        time.sleep(draw.uniform(0.0, 0.02))
    was_writing = any(checkpoints.glob(".partial-*/*"))
    assert process.poll() is None, "the run is over before all faults are injected; give more --steps"
    os.kill(process.pid, signal.SIGTERM if fault == "term" else signal.SIGKILL)
    code = process.wait(_WAIT_S)
    assert code == (EXIT_TO_BE_RESTARTED if fault == "term" else -signal.SIGKILL), code
    kept = all_checkpoints(checkpoints)
    damaged = [path.name for path in kept if damage_of(path) is not None]
    at = max((r["step"] for r in read_json_lines(run / "metrics.jsonl")), default=0)
    saved = max((read_training(path)["step"] for path in kept if path.name not in damaged), default=0)
    print(f"{fault}: at step {at}, goes on from {saved}", file=sys.stderr)
    return {"fault": fault, "lost": max(0, at - saved), "unreadable": len(damaged), "was_writing": was_writing}


def _start(config: Path, run: Path) -> subprocess.Popen:
    words = [sys.executable, "-m", "panoptic3d", "train", str(config), "--folder", str(run)]
    log = run.parent / f"{run.name}.log"
    with log.open("a") as file:
        return subprocess.Popen(words, cwd=REPOSITORY, stderr=file, stdout=file)


def _first_log_line(run: Path) -> float:
    """When the log last grew, by the clock of `time.monotonic`; -1 without one."""
    path = run / "train.log"
    return path.stat().st_mtime - time.time() + time.monotonic() if path.exists() else -1.0


def _wait_until(holds) -> None:
    begins_s = time.monotonic()
    while not holds():
        assert time.monotonic() - begins_s < _WAIT_S
        time.sleep(0.001)


def _same(first: Path, second: Path) -> bool:
    a, b = (read_weights(run / "checkpoints" / "latest") for run in (first, second))
    losses = [
        [r.get("train/loss") for r in read_json_lines(run / "metrics.jsonl") if "train/loss" in r]
        for run in (first, second)
    ]
    return losses[0] == losses[1] and a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def _config(folder: Path, num_steps: int) -> Path:
    """With a worker that loads samples."""
    small_rooms(folder, num_rooms=5)
    tree = training(folder / "rooms", num_steps) | {
        "loader": {"num_workers": 1},
        "checkpoint": {"every": 5},
        "validation": {"every": 50, "num_samples": 2},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


if __name__ == "__main__":
    sys.exit(main())
