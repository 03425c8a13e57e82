"""`panoptic3d train CONFIG [--key value ...]`."""

import argparse

from panoptic3d.cli.not_built import refuse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a YAML file of configs/")
    parser.add_argument("--resume", default="auto", help="auto (default), never, or a checkpoint")
    parser.add_argument(
        "overrides", nargs=argparse.REMAINDER, metavar="--key value", help="change any key of the config"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    refuse("train", "no network has landed")
