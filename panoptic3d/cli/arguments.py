"""Kinds of words on the command line that argparse does not know. What is wrong is said before any work is done."""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from panoptic3d.errors import InputError


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
    if not (word.isascii() and word.isdecimal()):
        raise InputError(f"the environment's {name} is {word!r} and no whole number; give --shard I/N.")
    return int(word)
