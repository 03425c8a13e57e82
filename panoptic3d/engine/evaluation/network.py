"""Predict with a checkpoint during an evaluation, from each sample's photo and camera, without files in between."""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from panoptic3d.data.predictions import PredictedVoxels
from panoptic3d.data.roots import DataRoot
from panoptic3d.engine.evaluation.depth_supply import DepthSupply
from panoptic3d.models.checkpoints.folder import checkpoint_facts
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.given_depth import with_given_depth
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import Seen
from panoptic3d.structures.moving import moved
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.scene import PanopticScene


@dataclass(frozen=True)
class NetworkPredictions:
    folder: Path
    device: torch.device
    depth: DepthSupply | None = None  # handed in beside the photos: no score of a photo alone
    trust: tuple[str, ...] = ()  # packages whose code the checkpoint may name

    @cached_property
    def network(self) -> Pipeline:
        return load_network(self.folder, self.trust).to(self.device)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """As a result carries them."""
        return checkpoint_facts(self.folder)

    @property
    def stamp(self) -> str:
        """Changes with weights and thresholds: what was scored with others is scored again."""
        with_depth = "" if self.depth is None else f" {json.dumps(self.depth.facts, sort_keys=True)}"
        return f"{self.facts['sha256']} {self.facts['config_sha256']}{with_depth}"

    def predict(self, data: DataRoot, key: str) -> PredictedVoxels:
        """Raises `BadFileError` where the photo cannot be read."""
        sample = data.read(key, has_voxels=False)
        return PredictedVoxels.from_scene(self.scene(sample))

    def scene(self, sample: Sample) -> PanopticScene:
        """On the CPU."""

        def exchange(seen: Seen, _: int) -> Seen:
            if self.depth is None:
                return seen
            return with_given_depth(seen, replace(self.depth.of(sample), is_checked=False))[0]

        (scene,) = self.network.infer(sample.image[None].to(self.device), (sample.camera,), exchange=exchange)
        return moved(scene, "cpu")
