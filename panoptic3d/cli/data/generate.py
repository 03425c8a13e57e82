"""`panoptic3d data generate --out DIR --num N`: make furnished rooms with ground truth."""

import argparse
import os
from functools import partial
from typing import TYPE_CHECKING

from panoptic3d.cli.arguments import at_least, number_in
from panoptic3d.errors import InputError

_FIXED_BY_A_RECIPE = ("seed", "renderer", "format", "views", "camera", "extra_truth", "transients", "config", "rooms")

if TYPE_CHECKING:
    from panoptic3d.engine.generation.plan import GenerationPlan, Shard


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="DIR", help="becomes a data root; may be half done: what is there is not made again"
    )
    parser.add_argument(
        "--num", type=at_least(1), metavar="N", help="how many samples (default: 100; with --recipe: all)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the first room (default: 0)")
    parser.add_argument("--renderer", choices=("fast", "photo"), help="photo needs mitsuba (default: fast)")
    parser.add_argument("--format", choices=("packed", "front3d"), help="default: packed")
    parser.add_argument("--workers", type=at_least(1), metavar="W", help="processes (default: one a core)")
    parser.add_argument("--shard", metavar="I/N", help="only this part (default: from SLURM_ARRAY_TASK_ID or RANK)")
    parser.add_argument("--views", type=at_least(1), metavar="K", help="samples of each room (default: 4)")
    parser.add_argument("--camera", choices=("released", "varied", "level", "mixed", "any"), help="default: released")
    parser.add_argument(
        "--extra-truth", action="store_true", help="normals, albedo, amodal masks, layout depth, room plan"
    )
    parser.add_argument(
        "--transients",
        type=float,
        metavar="SHARE",
        help="of a room's photos that show one more piece of furniture, which is not in the truth; implies --extra-truth",
    )
    parser.add_argument(
        "--recipe", metavar="NAME_OR_FILE", help="a benchmark such as rooms-v1 instead of the options above"
    )
    parser.add_argument("--split", metavar="NAME", help="of the recipe: train, val or test")
    parser.add_argument("--check", action="store_true", help="compare what was made with the recipe's published hashes")
    parser.add_argument("--config", metavar="FILE", help="YAML of a generation config; the options above win over it")
    parser.add_argument("--rooms", choices=("furnished", "boxes"), help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.out is None:
        raise InputError("generate needs a folder to write to; give --out DIR.")
    from pathlib import Path

    from panoptic3d.cli.progress import with_progress
    from panoptic3d.engine.generation.run import run_plan

    plan, shard, out = _plan(arguments), _shard(arguments.shard), Path(arguments.out)
    num_workers = arguments.workers or num_cores()
    done = run_plan(plan, out, shard, num_workers, partial(with_progress, what="rooms"))
    print(f"{done['made']} samples made, {done['there']} were there; {done['of_plan']} of {plan.num} of {out} are done")
    return _check(arguments, out) if arguments.check else 0


def num_cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plan(arguments: argparse.Namespace) -> "GenerationPlan":
    from panoptic3d.config import load_config
    from panoptic3d.engine.generation.plan import GenerationConfig, GenerationPlan, load_recipe

    if arguments.recipe is not None:
        if arguments.split is None:
            raise InputError("a recipe has several splits; say which: --split train, val or test.")
        fixed = [name for name in _FIXED_BY_A_RECIPE if getattr(arguments, name)]
        if fixed:
            raise InputError(f"a recipe says itself what --{fixed[0].replace('_', '-')} would; leave out one of them.")
        return load_recipe(arguments.recipe).plan(arguments.split, arguments.num)
    if arguments.split is not None or arguments.check:
        raise InputError("--split and --check belong to a recipe; give --recipe rooms-v1 with them.")
    chosen = {
        "renderer": arguments.renderer,
        "format": arguments.format,
        "views": arguments.views,
        "rooms": arguments.rooms,
        "extra_truth": "true" if arguments.extra_truth or arguments.transients else None,
        "transients": arguments.transients,
        "layout.camera": "release" if arguments.camera == "released" else arguments.camera,
    }
    words = [word for name, value in chosen.items() if value is not None for word in (f"--{name}", str(value))]
    config = load_config(GenerationConfig, arguments.config, words)
    return GenerationPlan(config, arguments.seed, 100 if arguments.num is None else arguments.num)


def _shard(text: str | None) -> "Shard":
    """As asked for, or this task's of a SLURM array, or this process's of a torchrun."""
    from panoptic3d.engine.generation.plan import Shard

    if text is not None:
        return Shard.parse(text)
    environment = os.environ
    if "SLURM_ARRAY_TASK_ID" in environment:
        first = number_in(environment, "SLURM_ARRAY_TASK_MIN") if "SLURM_ARRAY_TASK_MIN" in environment else 0
        part = number_in(environment, "SLURM_ARRAY_TASK_ID") - first
        return Shard(part, number_in(environment, "SLURM_ARRAY_TASK_COUNT"))
    if "RANK" in environment and "WORLD_SIZE" in environment:
        return Shard(number_in(environment, "RANK"), number_in(environment, "WORLD_SIZE"))
    return Shard(0, 1)


def _check(arguments: argparse.Namespace, out: object) -> int:
    from panoptic3d.engine.generation.check import check_against_recipe

    report = check_against_recipe(str(out), arguments.recipe, arguments.split)
    print(report.summary())
    return 0 if report.is_same else 1
