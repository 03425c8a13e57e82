"""Argument types that argparse does not have. Wrong values are reported before any work is done."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from panoptic3d.errors import InputError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

    from panoptic3d.data.given_depths import DepthOptions

_MAX_DIGITS = 20  # of a number in the environment


class Parser(argparse.ArgumentParser):
    """argparse prints the usage before its complaint; a user's mistake gets one plain sentence."""

    def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
        """argparse swallows what a full disk does to its help."""
        if message and (target := file or sys.stderr) is not None:
            target.write(message)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see `{self.prog} --help`.")


def at_least(minimum: int) -> Callable[[str], int]:
    """A whole number from `minimum` on."""

    def parse(word: str) -> int:
        try:
            value = int(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{word!r} is no whole number") from None
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{value} is too little; give at least {minimum}")
        return value

    return parse


def output_file(word: str) -> str:
    """The name of a file to write, in a folder that is there."""
    path = Path(word)
    if os.path.isdir(path):
        raise argparse.ArgumentTypeError(f"{word} is a folder; give the name of a file")
    if not os.path.isdir(path.parent):
        raise argparse.ArgumentTypeError(f"{word} lies in a folder that is not there; make it first")
    return word


def number_in(environment: Mapping[str, str], name: str) -> int:
    """A whole number that a scheduler has set."""
    word = environment.get(name, "")
    if not (word.isascii() and word.isdecimal()) or len(word) > _MAX_DIGITS:
        raise InputError(f"the environment's {name} is {word[:50]!r} and no whole number; give --shard I/N.")
    return int(word)


def add_depth_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what the numbers in depth files mean."""
    kinds = ("metric", "scale", "affine", "disparity")
    told = "metres; metres times a factor; up to scale and shift, of depth or of 1 by depth (metric)"
    parser.add_argument("--depth-kind", choices=kinds, default="metric", help=told)
    parser.add_argument(
        "--depth-along", choices=("axis", "ray"), default="axis", help="what it is measured along (axis)"
    )
    parser.add_argument("--depth-unit", metavar="U", help="mm, cm, m, or metres of a step (whole numbers: mm, else m)")
    parser.add_argument(
        "--depth-intrinsics", metavar="FX,FY,CX,CY", help="of the depth, to check that it is registered"
    )


def depth_options(arguments: argparse.Namespace) -> "DepthOptions":
    from panoptic3d.data.depth_files import parse_unit
    from panoptic3d.data.given_depths import DepthOptions
    from panoptic3d.predictor.cameras import parse_intrinsics

    unit_m = None if arguments.depth_unit is None else parse_unit(arguments.depth_unit)
    text = arguments.depth_intrinsics
    intrinsics = None if text is None else parse_intrinsics(text, "--depth-intrinsics")
    return DepthOptions(arguments.depth_kind, arguments.depth_along, unit_m, intrinsics)


def add_tta(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tta", action="store_true", help="average the depth and classes of each photo with those of its mirror image"
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a package whose code the checkpoint may name and run; repeatable (none)",
    )
