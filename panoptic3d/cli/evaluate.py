"""`panoptic3d evaluate --data ROOT --split FILE_OR_NAME`."""

import argparse

from panoptic3d.cli.not_built import refuse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, metavar="ROOT")
    parser.add_argument("--split", required=True, metavar="FILE_OR_NAME")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", metavar="NAME_OR_PATH")
    source.add_argument("--predictions", metavar="DIR", help="score the files of any method")
    parser.add_argument("--protocol", action="append", metavar="NAME", help="repeatable")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    refuse("evaluate", "the evaluator is the next part to land")
