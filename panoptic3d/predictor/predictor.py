"""A photo in, a scene out, whatever the network."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from panoptic3d.errors import Panoptic3dError
from panoptic3d.predictor.cameras import CameraChoice, GivenCamera, choose_camera
from panoptic3d.predictor.canonical import CanonicalView, seen_by, within_photo
from panoptic3d.predictor.network import SceneNetwork, open_network
from panoptic3d.predictor.photos import Photo, load_photo, photo_from_array
from panoptic3d.predictor.stopwatch import Stopwatch
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import PanopticScene

AnyPhoto = Photo | str | os.PathLike[str] | np.ndarray | Tensor | Image.Image


@dataclass(frozen=True, eq=False)
class _Ready:
    """A photo with its camera, as the network will see it."""

    photo: Photo
    choice: CameraChoice
    view: CanonicalView


class Predictor:
    """A checkpoint on a device, ready for photos. The same photo, checkpoint, device and number of threads give the same bits
    (1 against 2 threads: distances differ by up to 3.5e-6 voxel, labels do not).

    Threads may share one. A process that was forked from this one may not, as OpenMP would wait there for threads that are
    gone; start processes by `spawn`, or call `torch.set_num_threads(1)` first.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | None = None,
        device: str = "auto",
        *,
        network: SceneNetwork | None = None,
    ) -> None:
        """`checkpoint` is a folder or a shipped name, the shipped one by default; `network` stands in for both."""
        name = None if checkpoint is None else os.fspath(checkpoint)
        self.network: SceneNetwork = open_network(name, device) if network is None else network
        self._process = os.getpid()

    def __call__(self, photo: AnyPhoto, camera: Camera | None = None, fov_deg: float | None = None) -> PanopticScene:
        """A file, or an upright picture in memory. Without a camera EXIF says, and then `FALLBACK_FOV_DEG`."""
        return self.batch([photo], GivenCamera(camera=camera, fov_deg=fov_deg))[0]

    def batch(self, photos: Sequence[AnyPhoto], given: GivenCamera | None = None) -> list[PanopticScene]:
        """The photos may differ in size: those whose views have one size go through the network together."""
        if os.getpid() != self._process and torch.get_num_threads() > 1:
            raise Panoptic3dError(
                "this Predictor was made before its process was forked, in which torch's threads are gone; make one after "
                "the fork, start processes by `spawn`, or call torch.set_num_threads(1)."
            )
        watch = Stopwatch()
        ready = [self._ready(photo, given or GivenCamera()) for photo in photos]
        watch.lap("load")
        share_s = round(watch.seconds["load"] / max(len(ready), 1), 4)
        scenes: dict[int, PanopticScene] = {}
        for rows in _of_one_size(ready):
            views = [ready[row].view for row in rows]
            made = self.network.scenes(torch.stack([view.image for view in views]), [view.camera for view in views])
            for row, scene in zip(rows, made, strict=True):
                scenes[row] = self._finished(ready[row], scene, {"load": share_s}, len(rows))
        return [scenes[row] for row in range(len(ready))]

    def _ready(self, photo: AnyPhoto, given: GivenCamera) -> _Ready:
        loaded = as_photo(photo)
        choice = choose_camera(loaded, given)
        return _Ready(loaded, choice, seen_by(loaded.image, choice.camera, self.network.view_of(choice.camera)))

    def _finished(
        self, ready: _Ready, scene: PanopticScene, seconds: dict[str, float], num_together: int
    ) -> PanopticScene:
        """In the photo's camera: the view was cut without turning, so the scene stays where it is."""
        if not bool(ready.view.is_photo.all()):
            scene = within_photo(scene, ready.choice.camera)
        if scene.depth_map is not None:
            scene = replace(scene, depth_map=scene.depth_map.seen_from(ready.view.from_photo))
        stages = {name: round(s / num_together, 4) for name, s in scene.provenance.get("seconds", {}).items()}
        photo = ready.photo
        facts = {
            "file": photo.file,
            "num_bytes": photo.num_bytes,
            "sha256": photo.sha256,
            "size": list(photo.full_size),
        }
        provenance = {
            **scene.provenance,
            "camera_source": ready.choice.source,
            "checkpoint": self.network.checkpoint,
            "seconds": seconds | stages,
            "photo": {**facts, "notes": list(photo.notes)},
        }
        return replace(scene, camera=ready.choice.camera, photo=photo.image, provenance=provenance)


def predict(
    photo: AnyPhoto,
    camera: Camera | None = None,
    *,
    fov_deg: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> PanopticScene:
    """One photo's scene. It loads the checkpoint each time: for several photos make a `Predictor`."""
    return Predictor(checkpoint, device)(photo, camera, fov_deg)


def as_photo(photo: AnyPhoto) -> Photo:
    if isinstance(photo, Photo):
        return photo
    if isinstance(photo, np.ndarray | Tensor | Image.Image):
        return photo_from_array(photo)
    return load_photo(photo)


def _of_one_size(ready: Sequence[_Ready]) -> list[list[int]]:
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, one in enumerate(ready):
        rows.setdefault(tuple(one.view.image.shape), []).append(row)
    return list(rows.values())
