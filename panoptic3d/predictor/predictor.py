"""A photo in, a scene out, whatever the network."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import UInt8
from torch import Tensor

from panoptic3d.predictor.cameras import choose_camera
from panoptic3d.predictor.canonical import letterboxed, seen_by
from panoptic3d.predictor.photos import Photo, load_photo
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import PanopticScene


@runtime_checkable
class SceneNetwork(Protocol):
    """What a method brings: a network with its decoder, at one picture size."""

    image_size: tuple[int, int]  # (width, height)
    checkpoint: dict[str, Any]  # name and hash, for scene.json

    def scenes(self, images: UInt8[Tensor, "b 3 h w"], cameras: Sequence[Camera]) -> list[PanopticScene]:
        """One scene a picture, in the frame of its camera."""
        ...


@dataclass(frozen=True)
class Predictor:
    network: SceneNetwork

    def __call__(
        self,
        photo: Photo | str | os.PathLike[str],
        intrinsics: tuple[float, float, float, float] | None = None,
        fov_deg: float | None = None,
    ) -> PanopticScene:
        return self.batch([photo], intrinsics, fov_deg)[0]

    def batch(
        self,
        photos: Sequence[Photo | str | os.PathLike[str]],
        intrinsics: tuple[float, float, float, float] | None = None,
        fov_deg: float | None = None,
    ) -> list[PanopticScene]:
        """The photos may differ in size; the network sees all of them in its own."""
        start_s = time.perf_counter()
        loaded = [photo if isinstance(photo, Photo) else load_photo(photo) for photo in photos]
        choices = [choose_camera(photo, intrinsics, fov_deg) for photo in loaded]
        targets = [letterboxed(choice.camera, *self.network.image_size) for choice in choices]
        views = [seen_by(p.image, c.camera, t) for p, c, t in zip(loaded, choices, targets, strict=True)]
        ready_s = time.perf_counter()
        scenes = self.network.scenes(torch.stack([view.image for view in views]), targets)
        seconds = {"load": ready_s - start_s, "network": time.perf_counter() - ready_s}
        share = {stage: round(value / len(loaded), 4) for stage, value in seconds.items()}
        return [
            replace(
                scene,
                camera=choice.camera,  # the view was cut without turning, so the scene stays where it is
                photo=photo.image,
                provenance={
                    **scene.provenance,
                    "camera_source": choice.source,
                    "checkpoint": self.network.checkpoint,
                    "seconds": share,
                    "photo": {"size": list(photo.full_size), "notes": list(photo.notes)},
                },
            )
            for scene, photo, choice in zip(scenes, loaded, choices, strict=True)
        ]
