"""Training steps of a method: steps and samples a second, where the time goes, and peak memory, a process for each stage."""

import argparse

from panoptic3d.engine.training.speed import Case
from panoptic3d.engine.training.speed import measure as measure_case


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--case",
        action="append",
        metavar="CONFIG:STAGE",
        help="a training config and one of its stages; repeatable (default: both stages of configs/panorecon/debug.yaml)",
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="change keys of every config")
    parser.add_argument("--steps", type=int, default=2, metavar="N", help="measured (default 2, after one to warm up)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of torch (default 1)")


def measure(arguments: argparse.Namespace) -> dict:
    names = arguments.case or ["configs/panorecon/debug.yaml:2d", "configs/panorecon/debug.yaml:3d"]
    overrides = tuple(f"--{word}" for word in arguments.set)
    figures = {}
    for name in names:
        config, _, stage = name.rpartition(":")
        figures[name] = measure_case(Case(config, stage, overrides, arguments.steps, num_threads=arguments.threads))
    return {"threads": arguments.threads, "set": arguments.set, "cases": figures}
