"""A photo from its file to the files of its scene, end to end: wall and processor seconds after a first photo, and memory."""

import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from panoptic3d.errors import InputError
from panoptic3d.predictor.predictor import Predictor
from panoptic3d.predictor.scene_folder import save_scene

_PHOTOS = Path(__file__).resolve().parents[2] / "data" / "photos"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", metavar="NAME_OR_PATH", help="(the shipped one)")
    parser.add_argument("--photos", nargs="+", type=Path, metavar="FILE", help="(the bundled ones)")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--repeats", type=int, default=5, metavar="N")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(arguments.threads)
    photos = arguments.photos or sorted(_PHOTOS.glob("*.jpg"))
    if not photos:
        raise InputError(f"there is no photo in {_PHOTOS}; give some with --photos.")
    predictor = Predictor(arguments.checkpoint)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "scene"
        save_scene(predictor(photos[0]), folder)
        rows = {photo.name: _measured(predictor, photo, folder, arguments.repeats) for photo in photos}
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"num_threads": arguments.threads, "photos": rows, "peak_memory_mib": peak_mib}


def _measured(predictor: Predictor, photo: Path, folder: Path, repeats: int) -> dict[str, Any]:
    wall_s, cpu_s = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        save_scene(predictor(photo), folder, overwrite=True)
        wall_s.append(time.perf_counter() - start[0])
        cpu_s.append(time.process_time() - start[1])
    return {
        "wall_s": round(min(wall_s), 2),
        "median_wall_s": round(statistics.median(wall_s), 2),
        "cpu_s": round(min(cpu_s), 2),
        "seconds_of_last": json.loads((folder / "scene.json").read_text())["seconds"],
    }
