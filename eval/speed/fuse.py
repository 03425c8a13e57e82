"""Photos of a room, from their files to the files of one fused scene: seconds and memory of the whole command."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from panoptic3d.data.roots import open_root
from panoptic3d.engine.generation.plan import GenerationPlan, load_recipe
from panoptic3d.engine.generation.run import run_plan
from panoptic3d.structures.sample import Sample

_RECIPE = "rooms-views-v1"
_GL_FROM_CAMERA = np.diag([1.0, -1.0, -1.0, 1.0])  # transforms.json has y up and z backward


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", metavar="NAME_OR_PATH", help="(the shipped one)")
    parser.add_argument("--views", type=int, default=8, metavar="N", help="of the first room of the test range (8)")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder, arguments.views)
        words = ["fuse", str(folder / "photos"), "--poses", str(folder / "transforms.json"), "--overwrite"]
        words += ["--out", str(folder / "room")]
        if arguments.checkpoint is not None:
            words += ["--checkpoint", arguments.checkpoint]
        runs = [_run(words, arguments.threads) for _ in range(arguments.repeats)]
        sizes = {path.name: path.stat().st_size for path in sorted((folder / "room").iterdir())}
    best = {key: min(run[key] for run in runs) for key in ("wall_s", "cpu_s")}
    return {
        "num_threads": arguments.threads,
        "num_photos": arguments.views,
        **best,
        "peak_memory_mib": max(run["peak_memory_mib"] for run in runs),
        "runs": runs,
        "bytes": sizes,
    }


def write_photos(folder: Path, num_views: int) -> None:
    """`photos/` and `transforms.json` of a room."""
    recipe = load_recipe(_RECIPE)
    plan = GenerationPlan(
        recipe.generation.model_copy(update={"views": num_views}), recipe.splits["test"].first_seed, num_views, "test"
    )
    run_plan(plan, folder / "rooms", num_workers=1)
    data = open_root(str(folder / "rooms"))
    samples = [data.read(key, has_voxels=False) for key in data.split(None).keys]
    (folder / "photos").mkdir()
    for sample in samples:
        Image.fromarray(sample.image.permute(1, 2, 0).contiguous().numpy()).save(folder / "photos" / _name(sample))
    camera = samples[0].camera
    lens = {"w": camera.width, "h": camera.height, "fl_x": camera.fx_px, "fl_y": camera.fy_px}
    lens |= {"cx": camera.cx_px + 0.5, "cy": camera.cy_px + 0.5}
    frames = [{"file_path": f"photos/{_name(sample)}", "transform_matrix": _matrix(sample)} for sample in samples]
    (folder / "transforms.json").write_text(json.dumps({**lens, "frames": frames}))


def _name(sample: Sample) -> str:
    return f"{sample.frame}.png"


def _matrix(sample: Sample) -> list[list[float]]:
    assert sample.world_from_camera is not None
    return (sample.world_from_camera.double().numpy() @ _GL_FROM_CAMERA).tolist()


def _run(words: list[str], num_threads: int) -> dict[str, float]:
    """A process of its own, with the start of Python and all imports."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(num_threads)}
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "panoptic3d", *words], env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall_s = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"`panoptic3d {' '.join(words)}` ended with {child.returncode}")
    return {
        "wall_s": round(wall_s, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_memory_mib": usage.ru_maxrss // 1024,
    }
