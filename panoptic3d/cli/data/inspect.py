"""`panoptic3d data inspect ROOT --sample SCENE/FRAME --out FILE.png`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="ROOT", help="a data set, as released or packed")
    parser.add_argument("--sample", metavar="SCENE/FRAME", help="default: the first one")
    parser.add_argument("--out", required=True, metavar="FILE.png")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from panoptic3d.errors import InputError

    if not arguments.out.lower().endswith(".png"):
        raise InputError(f"--out is {arguments.out!r}; give the name of a .png file.")
    raise InputError("no reader yet")
