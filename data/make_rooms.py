"""Makes data/rooms-sample and the published hashes of the recipes again. `python data/make_rooms.py [--hashes NUM]`.

The sample is the first view of the first rooms of the benchmark's test split. Run it whenever a seed's bytes change; the
hashes are of NUM samples a split.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from panoptic3d.engine.generation.check import publish
from panoptic3d.engine.generation.plan import GenerationConfig, GenerationPlan, load_recipe
from panoptic3d.engine.generation.run import run_plan

_SAMPLE = Path(__file__).parent / "rooms-sample"
_KEPT = ("packed.json", "frustum_mask.npz", "splits", "generation.json", "manifest.json")
_NUM_SAMPLES = 20
_NUM_BY_HEART = 4  # of the split that configs/*/overfit.yaml learn


def make_sample(num_workers: int) -> None:
    """Without statistics and journal, which are not data."""
    first_seed = load_recipe("rooms-v1").splits["test"].first_seed
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "root"
        plan = GenerationPlan(GenerationConfig(views=1), first_seed, _NUM_SAMPLES, "test")
        run_plan(plan, out, num_workers=num_workers)
        shutil.rmtree(_SAMPLE, ignore_errors=True)
        _SAMPLE.mkdir()
        for path in sorted(out.iterdir()):
            if path.name in _KEPT or path.name.startswith("room-"):
                (shutil.copytree if path.is_dir() else shutil.copy)(path, _SAMPLE / path.name)
    keys = (_SAMPLE / "splits" / "test.txt").read_text().splitlines()[:_NUM_BY_HEART]
    (_SAMPLE / "splits" / "four.txt").write_text("".join(f"{key}\n" for key in keys))


def make_hashes(name: str, num: int, num_workers: int) -> Path:
    recipe = load_recipe(name)
    with tempfile.TemporaryDirectory() as folder:
        roots = {split: Path(folder) / split for split in recipe.splits}
        for split, root in roots.items():
            run_plan(recipe.plan(split, num), root, num_workers=num_workers)
        return publish(name, {str(split): root for split, root in roots.items()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hashes", type=int, default=0, metavar="NUM")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    make_sample(arguments.workers)
    if arguments.hashes:
        for name in ("rooms-v1", "rooms-v2", "rooms-views-v1"):
            print(make_hashes(name, arguments.hashes, arguments.workers))
