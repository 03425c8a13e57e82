"""A photo in, a scene out, whatever the network."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.predictor.cameras import CameraChoice, GivenCamera, choose_camera
from panoptic3d.predictor.canonical import CanonicalView, seen_by, within_photo
from panoptic3d.predictor.depths import AnyDepth, DepthOptions, LoadedDepth, load_depth, placed_depth
from panoptic3d.predictor.network import HintedNetwork, SceneNetwork, open_network
from panoptic3d.predictor.photos import Photo, load_photo, photo_from_array
from panoptic3d.predictor.stopwatch import Stopwatch
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.given_depth import SceneHint
from panoptic3d.structures.scene import PanopticScene

AnyPhoto = Photo | str | os.PathLike[str] | np.ndarray | Tensor | Image.Image


@dataclass(frozen=True, eq=False)
class _Ready:
    """A photo with its camera, as the network will see it."""

    photo: Photo
    choice: CameraChoice
    view: CanonicalView
    hint: SceneHint | None  # in the pixels of the view
    hint_facts: dict[str, Any]


@dataclass(frozen=True, eq=False)
class PhotoHint:
    """What is known of a scene beside its photo: depth, or how high the camera was held."""

    depth: LoadedDepth | None = None
    camera_height_m: float | None = None

    def __post_init__(self) -> None:
        if self.camera_height_m is not None and not 0.05 <= self.camera_height_m <= 20:
            raise InputError(
                f"a camera height of {self.camera_height_m:g} m is none of a room; give metres above the floor."
            )

    @property
    def says_something(self) -> bool:
        return self.depth is not None or self.camera_height_m is not None


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

    def __call__(
        self,
        photo: AnyPhoto,
        camera: Camera | None = None,
        fov_deg: float | None = None,
        *,
        depth: AnyDepth | None = None,
        depth_options: DepthOptions | None = None,
        camera_height_m: float | None = None,
    ) -> PanopticScene:
        """A file, or an upright picture in memory. Without a camera EXIF says, and then `FALLBACK_FOV_DEG`.

        `depth` is registered to the photo, at any size: a file, or an array of metres with 0 or NaN where nothing is known;
        `depth_options` say it if it is not metric or not along the axis. `camera_height_m` is above the floor.
        """
        loaded = None if depth is None else load_depth(depth, depth_options or DepthOptions())
        hints = [PhotoHint(loaded, camera_height_m)]
        return self.batch([photo], GivenCamera(camera=camera, fov_deg=fov_deg), hints)[0]

    def batch(
        self,
        photos: Sequence[AnyPhoto],
        given: GivenCamera | None = None,
        hints: Sequence[PhotoHint] | None = None,
    ) -> list[PanopticScene]:
        """The photos may differ in size: those whose views have one size go through the network together."""
        if os.getpid() != self._process and torch.get_num_threads() > 1:
            raise Panoptic3dError(
                "this Predictor was made before its process was forked, in which torch's threads are gone; make one after "
                "the fork, start processes by `spawn`, or call torch.set_num_threads(1)."
            )
        watch = Stopwatch()
        told = [PhotoHint()] * len(photos) if hints is None else hints
        ready = [self._ready(p, given or GivenCamera(), hint) for p, hint in zip(photos, told, strict=True)]
        watch.lap("load")
        share_s = round(watch.seconds["load"] / max(len(ready), 1), 4)
        scenes: dict[int, PanopticScene] = {}
        for rows in _of_one_size(ready):
            views = [ready[row].view for row in rows]
            made = self._scenes(views, [ready[row].hint for row in rows])
            for row, scene in zip(rows, made, strict=True):
                scenes[row] = self._finished(ready[row], scene, {"load": share_s}, len(rows))
        return [scenes[row] for row in range(len(ready))]

    def _scenes(self, views: Sequence[CanonicalView], hints: Sequence[SceneHint | None]) -> list[PanopticScene]:
        images, cameras = torch.stack([view.image for view in views]), [view.camera for view in views]
        if not any(hints):
            return self.network.scenes(images, cameras)
        if not isinstance(self.network, HintedNetwork):
            raise InputError("this network takes a photo alone; leave depth and lengths out.")
        return self.network.hinted_scenes(images, cameras, hints)

    def _ready(self, photo: AnyPhoto, given: GivenCamera, told: PhotoHint) -> _Ready:
        loaded = as_photo(photo)
        choice = choose_camera(loaded, given)
        view = seen_by(loaded.image, choice.camera, self.network.view_of(choice.camera))
        if not told.says_something:
            return _Ready(loaded, choice, view, None, {})
        depth, facts = None, {}
        if told.depth is not None:
            depth = placed_depth(told.depth, loaded, choice.camera).seen_from(view.from_photo.inverse())
            facts = {**told.depth.facts, "size": [depth.values.shape[1], depth.values.shape[0]]}
        return _Ready(loaded, choice, view, SceneHint(depth, told.camera_height_m), facts)

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
        if ready.hint_facts:
            provenance["depth"] = {**ready.hint_facts, **scene.provenance.get("depth", {})}
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
