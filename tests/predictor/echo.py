"""A network that is none."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import PanopticScene
from tests.export.tiny import make_tiny_scene


class Echo:
    """Answers with the tiny room, and remembers what it was asked."""

    def __init__(self) -> None:
        self.checkpoint = {"name": "echo", "sha256": "0"}
        self.asked: list[tuple[torch.Tensor, list[Camera]]] = []

    def view_of(self, camera: Camera) -> Camera:
        return camera.letterboxed(320, 240)

    def scenes(self, images: torch.Tensor, cameras: Sequence[Camera]) -> list[PanopticScene]:
        self.asked.append((images, list(cameras)))
        return [replace(make_tiny_scene(), camera=camera, photo=None) for camera in cameras]
