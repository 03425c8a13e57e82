"""What a training run tells whoever follows it, and the followers that it can have."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from torch import Tensor


class Tracker:
    """A follower of a run: takes what it can show and lets the rest pass. Steps never go back within one process."""

    def numbers(self, step: int, values: Mapping[str, float | int]) -> None:
        """Values by names such as `train/loss`."""

    def picture(self, step: int, name: str, image: UInt8[Tensor, "3 h w"]) -> None:
        """An sRGB picture."""

    def mesh(self, step: int, name: str, glb: Path) -> None:
        """A scene in 3D. The file may be deleted afterwards."""

    def table(self, step: int, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Such as the scores of every class."""

    def close(self) -> None:
        """Nothing comes after it."""


class Trackers(Tracker):
    """All followers as one."""

    def __init__(self, followers: Sequence[Tracker]) -> None:
        self._followers = tuple(followers)

    def numbers(self, step: int, values: Mapping[str, float | int]) -> None:
        for follower in self._followers:
            follower.numbers(step, values)

    def picture(self, step: int, name: str, image: UInt8[Tensor, "3 h w"]) -> None:
        for follower in self._followers:
            follower.picture(step, name, image)

    def mesh(self, step: int, name: str, glb: Path) -> None:
        for follower in self._followers:
            follower.mesh(step, name, glb)

    def table(self, step: int, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        for follower in self._followers:
            follower.table(step, name, columns, rows)

    def close(self) -> None:
        for follower in self._followers:
            follower.close()
