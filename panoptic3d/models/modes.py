"""How published weights run: with the quirks that they have learnt, or without those that are mistakes."""

from typing import Literal

Mode = Literal["faithful", "corrected"]
