"""The interface between the predictor and a method; every pipeline has it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import UInt8
from torch import Tensor

from panoptic3d import distributed
from panoptic3d.errors import InputError
from panoptic3d.machine import device_named
from panoptic3d.models.checkpoints.find import find_checkpoint
from panoptic3d.models.checkpoints.folder import checkpoint_facts
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.hints import with_hint
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import Seen
from panoptic3d.stopwatch import Stopwatch
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.given_depth import SceneHint
from panoptic3d.structures.moving import moved
from panoptic3d.structures.scene import PanopticScene


@runtime_checkable
class SceneNetwork(Protocol):
    """A network with its decoder."""

    checkpoint: dict[str, Any]  # name and hash, for scene.json

    def view_of(self, camera: Camera) -> Camera:
        """The camera of the view that the network wants of a photo. Photos with views of one size make a batch."""
        ...

    def scenes(self, images: UInt8[Tensor, "b 3 h w"], cameras: Sequence[Camera]) -> list[PanopticScene]:
        """One scene a view, in the frame of its camera, on the CPU."""
        ...


@runtime_checkable
class HintedNetwork(SceneNetwork, Protocol):
    """A network that also accepts hints about a scene: depth, camera height, or a length."""

    def hinted_scenes(
        self, images: UInt8[Tensor, "b 3 h w"], cameras: Sequence[Camera], hints: Sequence[SceneHint | None]
    ) -> list[PanopticScene]: ...


class PipelineNetwork:
    """On CUDA the trunk and the detector run in bfloat16, all that is metric in float32 (`Pipeline.infer`)."""

    folder: Path | None = None  # of its checkpoint

    def __init__(self, pipeline: Pipeline, checkpoint: dict[str, Any], device: torch.device, tta: bool = False) -> None:
        """`tta` averages the 2D maps of each image with those of its mirror image."""
        self.pipeline, self.checkpoint, self.device = pipeline.to(device), checkpoint, device
        self.tta = tta
        self.dtype_2d = torch.bfloat16 if device.type == "cuda" else torch.float32

    def view_of(self, camera: Camera) -> Camera:
        return self.pipeline.fit.view_of(camera)

    def scenes(self, images: UInt8[Tensor, "b 3 h w"], cameras: Sequence[Camera]) -> list[PanopticScene]:
        return self.hinted_scenes(images, cameras, [None] * len(cameras))

    def hinted_scenes(
        self, images: UInt8[Tensor, "b 3 h w"], cameras: Sequence[Camera], hints: Sequence[SceneHint | None]
    ) -> list[PanopticScene]:
        watch = Stopwatch()
        used: dict[int, dict[str, Any]] = {}

        images = images.to(self.device)

        def exchange(seen: Seen, number: int) -> Seen:
            hint = hints[number]
            if self.tta:
                mirror_image, camera = images[number : number + 1].flip(-1), cameras[number].mirrored()
                seen = seen.averaged_with(self.pipeline.see(mirror_image, (camera,), dtype=self.dtype_2d))
            if hint is None:
                return seen
            seen, used[number] = with_hint(seen, hint)
            return seen

        scenes = self.pipeline.infer(images, tuple(cameras), self.dtype_2d, exchange)
        scenes = [_on_cpu(scene) for scene in scenes]  # which waits for the device
        watch.lap("network")
        seconds = {"seconds": watch.seconds}
        return [
            replace(scene, provenance={**scene.provenance, **seconds, **used.get(number, {})})
            for number, scene in enumerate(scenes)
        ]


def open_network(
    checkpoint: str | Path | None, device: str, trust: Sequence[str] = (), tta: bool = False
) -> PipelineNetwork:
    folder = find_checkpoint(checkpoint)
    chosen = choose_device(device)
    network = PipelineNetwork(load_network(folder, tuple(trust)), checkpoint_facts(folder), chosen, tta)
    network.folder = folder
    return network


def choose_device(name: str) -> torch.device:
    if name not in ("auto", "cpu", "cuda") and not name.startswith("cuda:"):
        raise InputError(f"the device is {name!r}; give auto, cpu, cuda or cuda:N.")
    return device_named(name, "give --device cpu", distributed.local_rank() if distributed.is_distributed() else 0)


def _on_cpu(scene: PanopticScene) -> PanopticScene:
    return moved(replace(scene, distance_vox=scene.distance_vox.float()), "cpu")
