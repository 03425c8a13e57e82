"""TensorBoard: numbers and pictures; it has no place for scenes, and tables go in as text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from panoptic3d.optional import require
from panoptic3d.tracking.tracker import Tracker


class TensorboardTracker(Tracker):
    """What a killed run wrote after `from_step` is hidden by TensorBoard's own purge."""

    def __init__(self, folder: Path, from_step: int = 0) -> None:
        require("tensorboard", "tracking.tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=from_step + 1 if from_step else None)

    def numbers(self, step: int, values: Mapping[str, float | int]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, image: UInt8[Tensor, "3 h w"]) -> None:
        self._writer.add_image(name, image.cpu(), step)

    def table(self, step: int, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        lines = [columns, ["---"] * len(columns), *rows]
        text = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
        self._writer.add_text(name, text, step)

    def close(self) -> None:
        self._writer.close()
