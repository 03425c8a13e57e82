"""`panoptic3d view DIR`."""

import argparse

from panoptic3d.cli.not_built import refuse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="a predicted scene, or a folder of them")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    refuse("view", "`panoptic3d data inspect` draws a sample as a picture")
