"""A folder of BUOL oracle data: the same form as PanoRecon's, other weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tests.oracle.panorecon_folder import OracleFolder


@dataclass(frozen=True, eq=False)
class BuolFolder(OracleFolder):
    gains: ClassVar[Mapping[str, float]] = {"bn3.weight": 0.25, "norm2.weight": 0.5}  # residual branches are damped
