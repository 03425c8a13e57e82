"""`panoptic3d import-checkpoint FILE --family panorecon --out DIR`."""

import argparse

from panoptic3d.cli.not_built import refuse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="published weights")
    parser.add_argument("--family", required=True, choices=("panorecon",))
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    refuse("import-checkpoint", "no network has landed")
