"""Making rooms: samples a minute on one core, CPU seconds by stage, and memory, in one worker process of its own."""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--num-rooms", type=int, default=10)
    parser.add_argument("--views", type=int, default=4, help="samples of each room")
    parser.add_argument("--renderer", choices=("fast", "photo"), default="fast")
    parser.add_argument("--format", choices=("packed", "front3d"), default="packed")
    parser.add_argument("--rooms", choices=("furnished", "boxes"), default="furnished")
    parser.add_argument("--seed", type=int, default=1000)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """In a process of its own, so that its memory is that of a worker."""
    repository = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository)}
    command = [sys.executable, __file__, json.dumps(vars(arguments))]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def _measure(options: dict[str, Any]) -> dict[str, Any]:
    import torch

    from panoptic3d.engine.generation.plan import GenerationConfig, RoomJob
    from panoptic3d.engine.generation.room import make_room_samples

    torch.set_num_threads(1)
    config = GenerationConfig(**{name: options[name] for name in ("views", "renderer", "format", "rooms")})
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        make_room_samples(out, RoomJob(options["seed"] - 1, options["views"], "train"), config)  # fills the caches
        records = []
        for number in range(options["num_rooms"]):
            records += make_room_samples(out, RoomJob(options["seed"] + number, options["views"], "train"), config)
        sizes = [path.stat().st_size for path in out.glob("*/*.p3d")]
    stages: dict[str, float] = {}
    for record in records:
        for stage, seconds in record["cpu_s"].items():
            stages[stage] = stages.get(stage, 0.0) + seconds / len(records)
    total = sum(stages.values())
    slowest = max(sum(record["cpu_s"].values()) for record in records)
    return {
        "renderer": options["renderer"],
        "num_samples": len(records),
        "views_per_room": options["views"],
        "cpu_s_per_sample": round(total, 3),
        "slowest_sample_cpu_s": round(slowest, 3),
        "samples_per_minute_and_core": round(60 / total, 1),
        "cpu_s_by_stage": {stage: round(seconds, 4) for stage, seconds in stages.items()},
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "packed_bytes_per_sample": round(sum(sizes) / len(sizes)) if sizes else None,
    }


if __name__ == "__main__":
    print(json.dumps(_measure(json.loads(sys.argv[1]))))
