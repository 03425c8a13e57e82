"""Verbs that the contract promises and that are not built yet say so, and leave with exit code 2."""

from typing import NoReturn

from panoptic3d.errors import InputError


def refuse(verb: str, instead: str) -> NoReturn:
    raise InputError(f"`panoptic3d {verb}` is not built yet in this version; {instead}.")
