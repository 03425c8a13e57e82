"""`panoptic3d data generate --out DIR --num N`."""

import argparse

from panoptic3d.cli.not_built import refuse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help="a data root in the released layout")
    parser.add_argument("--num", type=int, default=100, metavar="N", help="how many samples (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    refuse("data generate", "data/tiny holds a sample")
