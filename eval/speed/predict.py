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

from panoptic3d.data.front3d_writer import exr_bytes
from panoptic3d.data.sensor_faults import SensorFaults, with_sensor_faults
from panoptic3d.errors import InputError
from panoptic3d.predictor.predictor import Predictor
from panoptic3d.predictor.scene_folder import save_scene
from panoptic3d.randomness import torch_generator

_PHOTOS = Path(__file__).resolve().parents[2] / "data" / "photos"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", metavar="NAME_OR_PATH", help="(the shipped one)")
    parser.add_argument("--photos", nargs="+", type=Path, metavar="FILE", help="(the bundled ones)")
    parser.add_argument(
        "--depth", action="store_true", help="in turns with and without a measured depth of the photo's size"
    )
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
        measure_one = _in_turns if arguments.depth else _measured
        rows = {photo.name: measure_one(predictor, photo, folder, arguments.repeats) for photo in photos}
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"num_threads": arguments.threads, "photos": rows, "peak_memory_mib": peak_mib}


def _in_turns(predictor: Predictor, photo: Path, folder: Path, repeats: int) -> dict[str, Any]:
    """Without and with depth, one after the other, as machines change their speed. It has holes."""
    scene = predictor(photo)
    assert scene.depth is not None
    depth = folder.parent / "depth.exr"
    depth.write_bytes(exr_bytes(with_sensor_faults(scene.depth, SensorFaults(), torch_generator(0)).numpy()))
    runs = [[_measured(predictor, photo, folder, 1, given) for given in (None, depth)] for _ in range(repeats)]
    best = [min(pair[number]["cpu_s"] for pair in runs) for number in (0, 1)]
    return {
        "cpu_s": best[0],
        "cpu_s_with_depth": best[1],
        "ratio": round(best[1] / best[0], 3),
        "median_ratio": round(statistics.median(pair[1]["cpu_s"] / pair[0]["cpu_s"] for pair in runs), 3),
    }


def _measured(
    predictor: Predictor, photo: Path, folder: Path, repeats: int, depth: Path | None = None
) -> dict[str, Any]:
    wall_s, cpu_s = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        save_scene(predictor(photo, depth=depth), folder, overwrite=True)
        wall_s.append(time.perf_counter() - start[0])
        cpu_s.append(time.process_time() - start[1])
    return {
        "wall_s": round(min(wall_s), 2),
        "median_wall_s": round(statistics.median(wall_s), 2),
        "cpu_s": round(min(cpu_s), 2),
        "seconds_of_last": json.loads((folder / "scene.json").read_text())["seconds"],
    }
