"""Who takes part in a race, as a config, and where their predictions come from."""

import re
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator

from eval.race.budget import checkpoint_of
from eval.race.exchange import exchanged
from eval.race.given_truth import GivenTruthPredictions, MapName
from eval.race.mean_room import MeanRoomPredictions
from eval.race.visible_surface import TrueSurfacePredictions, VisibleSurfacePredictions
from panoptic3d.config import Config
from panoptic3d.engine.evaluation.network import NetworkPredictions
from panoptic3d.metrics.perturbations import OracleName


class Entrant(Config):
    """`path` is a run, a checkpoint, a folder of prediction files, or for a mean room the root of the training data; a true
    surface needs none.
    """

    kind: Literal["network", "visible-surface", "true-surface", "mean-room", "files"] = "network"
    path: str = ""
    given: tuple[MapName, ...] = ()  # maps of a network that are taken from the truth: no score
    # Laid over the config of the checkpoint: other fillings of slots, or other thresholds.
    network: dict[str, Any] = Field(default_factory=dict)
    oracles: tuple[OracleName, ...] = ()  # parts of the prediction that are taken from the truth: no score
    split: str | None = "train"  # of the mean room's data
    num_samples: int = Field(default=500, ge=1)  # of the mean room

    @model_validator(mode="after")
    def _is_meant(self) -> "Entrant":
        if self.given and self.kind != "network":
            raise ValueError(f"an entrant of kind {self.kind} has no maps to exchange; leave `given` out")
        if self.network and not self.has_network:
            raise ValueError(f"an entrant of kind {self.kind} has no network to change; leave `network` out")
        if not self.path and self.kind != "true-surface":
            raise ValueError(f"an entrant of kind {self.kind} needs a `path`")
        return self

    @property
    def is_score(self) -> bool:
        """Whether no part of it comes from the ground truth."""
        return not self.given and not self.oracles and self.kind != "true-surface"

    @property
    def has_network(self) -> bool:
        return self.kind in ("network", "visible-surface")


class RaceConfig(Config):
    data: str
    split: str = "test"
    num_samples: int | None = Field(default=None, ge=1)  # only the first of the split
    protocols: tuple[str, ...] = ("strict", "strict-visible", "uni3d", "panorecon", "buol")
    entrants: dict[str, Entrant] = Field(min_length=1)
    reference: str | None = None  # whom the others are compared with; the first one without a name
    out: str  # a folder
    device: Literal["cpu", "cuda"] = "cpu"
    num_threads: int = Field(default=2, ge=1)
    num_resamples: int = Field(default=2000, ge=1)  # of scenes, for the intervals of differences
    num_cost_photos: int = Field(default=4, ge=0)  # photos on which the cost of predicting is measured; 0: not at all

    @model_validator(mode="after")
    def _names_make_folders(self) -> "RaceConfig":
        folders = [folder_name(name) for name in self.entrants]
        if len(set(folders)) != len(folders) or "" in folders:
            raise ValueError(f"the names {', '.join(self.entrants)} do not make different folders; change one")
        return self

    @model_validator(mode="after")
    def _the_reference_takes_part(self) -> "RaceConfig":
        if self.reference is not None and self.reference not in self.entrants:
            raise ValueError(f"the reference {self.reference!r} is no entrant; choose from {', '.join(self.entrants)}")
        return self


def folder_name(entrant: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", entrant.lower()).strip("-")


def network_of(entrant: Entrant, folder: Path) -> Path:
    """Its checkpoint, or that with other fillings, made in `folder`."""
    checkpoint = checkpoint_of(Path(entrant.path))
    return exchanged(checkpoint, entrant.network, folder / "checkpoint") if entrant.network else checkpoint


def predictions_of(entrant: Entrant, device: torch.device, folder: Path) -> Path | NetworkPredictions:
    """`folder` is the entrant's own."""
    path = Path(entrant.path)
    match entrant.kind:
        case "files":
            return path
        case "true-surface":
            return TrueSurfacePredictions(path, device)
        case "mean-room":
            return MeanRoomPredictions(path, device, split=entrant.split, num_samples=entrant.num_samples)
        case "visible-surface":
            return VisibleSurfacePredictions(network_of(entrant, folder), device)
        case "network":
            checkpoint = network_of(entrant, folder)
            return (
                GivenTruthPredictions(checkpoint, device, given=entrant.given)
                if entrant.given
                else NetworkPredictions(checkpoint, device)
            )
