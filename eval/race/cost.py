"""What a photo costs: seconds and memory of a process of its own that loads a checkpoint and makes scenes of photos.

python -m eval.race.cost --checkpoint DIR --data ROOT [--split test] [--photos 4] [--threads 2]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from panoptic3d.data.roots import open_root
from panoptic3d.machine import describe_machine
from panoptic3d.predictor.predictor import Predictor


def measured_apart(checkpoint: Path, data: str, split: str, num_photos: int, num_threads: int) -> dict[str, Any]:
    """In a fresh process, whose peak memory is that of nothing else."""
    words = {"checkpoint": checkpoint, "data": data, "split": split, "photos": num_photos, "threads": num_threads}
    options = [str(word) for name, value in words.items() for word in (f"--{name}", value)]
    done = subprocess.run([sys.executable, "-m", __name__, *options], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure(checkpoint: Path, data: str, split: str, num_photos: int, num_threads: int) -> dict[str, Any]:
    torch.set_num_threads(num_threads)
    root = open_root(data)
    keys = root.split(split).keys[: num_photos + 1]
    loading, predictor = _timed(lambda: Predictor(checkpoint, "cpu"))
    predicting, saving = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, key in enumerate(keys):
            sample = root.read(key, has_voxels=False)
            photo = Path(folder) / f"{number}.png"
            Image.fromarray(sample.image.permute(1, 2, 0).numpy()).save(photo)
            seconds, scene = _timed(lambda photo=photo, sample=sample: predictor(photo, sample.camera))
            predicting.append(seconds)
            saving.append(_timed(lambda scene=scene, number=number: scene.save(Path(folder) / f"scene-{number}"))[0])
    return {
        "load": loading,
        "first_photo": predicting[0],
        "photo": _median(predicting[1:] or predicting),
        "save": _median(saving[1:] or saving),
        "num_photos": max(len(predicting) - 1, 1),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        **describe_machine(),
    }


def _timed(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}, result


def _median(times: list[dict[str, float]]) -> dict[str, float]:
    return {kind: round(statistics.median(one[kind] for one in times), 3) for kind in ("cpu_s", "wall_s")}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkpoint", required=True, metavar="DIR")
    parser.add_argument("--data", required=True, metavar="ROOT")
    parser.add_argument("--split", default="test")
    parser.add_argument("--photos", type=int, default=4, metavar="N", help="beside a first one, which warms up")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    asked = parser.parse_args()
    print(json.dumps(measure(Path(asked.checkpoint), asked.data, asked.split, asked.photos, asked.threads), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
