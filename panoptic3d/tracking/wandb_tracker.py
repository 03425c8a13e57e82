"""Weights & Biases, online or into a local folder that `wandb sync` takes up later."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from jaxtyping import UInt8
from torch import Tensor

from panoptic3d.optional import require
from panoptic3d.tracking.tracker import Tracker


class WandbTracker(Tracker):
    """A run that goes on under the same `run_id` is one run there, too."""

    def __init__(
        self,
        folder: Path,
        mode: Literal["offline", "online"],
        run_id: str,
        project: str,
        entity: str | None = None,
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self._wandb = require("wandb", "tracking.wandb")
        self._run = self._wandb.init(
            dir=str(folder),
            mode=mode,
            id=run_id,
            resume="allow" if mode == "online" else None,
            project=project,
            entity=entity,
            name=name,
            config=dict(config or {}),
            settings=self._wandb.Settings(silent=True),
        )

    def numbers(self, step: int, values: Mapping[str, float | int]) -> None:
        self._run.log(dict(values), step=step)

    def picture(self, step: int, name: str, image: UInt8[Tensor, "3 h w"]) -> None:
        self._run.log({name: self._wandb.Image(image.permute(1, 2, 0).cpu().numpy())}, step=step)

    def mesh(self, step: int, name: str, glb: Path) -> None:
        self._run.log({name: self._wandb.Object3D(str(glb))}, step=step)

    def table(self, step: int, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self._run.log({name: self._wandb.Table(columns=list(columns), data=[list(row) for row in rows])}, step=step)

    def close(self) -> None:
        self._run.finish()
