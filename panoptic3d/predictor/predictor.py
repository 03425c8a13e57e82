"""Predict scenes from photos, with any network."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import torch

from panoptic3d.data.given_depths import AnyDepth, DepthOptions, LoadedDepth, load_depth, placed_depth
from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.files import partial_folder, put_in_place
from panoptic3d.given import is_finite_number, path_of
from panoptic3d.models.checkpoints.hub import FILES, find_or_fetch, push
from panoptic3d.predictor.any_photo import AnyPhoto, are_many, as_photo, given_cameras, given_depths
from panoptic3d.predictor.camera_files import camera_beside
from panoptic3d.predictor.cameras import CameraChoice, GivenCamera, choose_camera
from panoptic3d.predictor.canonical import CanonicalView, seen_by, within_photo
from panoptic3d.predictor.least_score import check_min_score, without_unsure
from panoptic3d.predictor.network import HintedNetwork, SceneNetwork, open_network
from panoptic3d.predictor.photos import Photo
from panoptic3d.predictor.taught import taught_depth
from panoptic3d.stopwatch import Stopwatch
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.given_depth import KnownLength, SceneHint
from panoptic3d.structures.pixel_map import PixelMap
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.teachers.teacher import DepthTeacher


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

    depth: LoadedDepth | DepthTeacher | None = None
    camera_height_m: float | int | None = None
    known_length: KnownLength | None = None  # in pixels of the photo at its full size

    def __post_init__(self) -> None:
        if self.camera_height_m is not None and self.known_length is not None:
            raise InputError("a camera height and a known length were both given, and each says the scale; give one.")
        if self.known_length is not None and not isinstance(self.known_length, KnownLength):
            raise InputError(f"a known length is a KnownLength, not {type(self.known_length).__name__}.")
        height_m = self.camera_height_m
        if height_m is not None and not (is_finite_number(height_m) and 0.05 <= height_m <= 20):
            raise InputError(f"a camera height of {height_m!r} m is none of a room; give metres above the floor.")

    @property
    def says_something(self) -> bool:
        return any(known is not None for known in (self.depth, self.camera_height_m, self.known_length))


class Predictor:
    """A checkpoint on a device, ready for photos. Photo, checkpoint, device and number of threads decide every bit.
    Another number of threads adds numbers in another order: distances differ by up to 7e-6 voxel, and now and then a voxel on
    an edge is decided otherwise (6 labels of 206,950 on one of six scenes: `python -m eval.faults.threads`).

    Examples:
        >>> predictor = Predictor.from_pretrained("tiny", device="cpu")
        >>> predictor.network.checkpoint["name"]
        'tiny'

    Call it with a photo: `scene = predictor("room.jpg")`, or with a list of photos.

    Threads may share one. A process that was forked from this one may not, as OpenMP would wait there for threads that are
    gone; start processes by `spawn`, or call `torch.set_num_threads(1)` first.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
        *,
        trust: Sequence[str] = (),
        tta: bool = False,
        network: SceneNetwork | None = None,
    ) -> None:
        """`checkpoint` is a folder or a shipped name, the shipped one by default; `network` stands in for both. Code of other
        packages that a checkpoint names is imported only if `trust` has the package's name. `tta` (test-time augmentation)
        averages the 2D maps of each photo with those of its mirror image.
        """
        if not isinstance(tta, bool):
            raise InputError(f"tta is True or False, not {tta!r}.")
        if tta and network is not None:
            raise InputError("tta is of a checkpoint; a network that is given averages by itself, or not at all.")
        if network is not None and not isinstance(network, SceneNetwork):
            raise InputError(f"a network has checkpoint, view_of and scenes; {type(network).__name__} has not.")
        self.network: SceneNetwork = _opened(checkpoint, device, trust, tta) if network is None else network
        self.tta = tta
        self._process = os.getpid()

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        device: str | torch.device = "auto",
        *,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        trust: Sequence[str] = (),
        tta: bool = False,
    ) -> "Predictor":
        """A shipped name, a folder, or `org/name` on the Hugging Face hub. The last needs the extra `[hub]`, and the network
        on first use. Code that comes with it is never fetched; `trust` is of packages that are installed here.
        """
        cache = None if cache_dir is None else path_of(cache_dir, "the cache of checkpoints")
        for what, text in (("revision", revision), ("token", token)):
            if text is not None and not isinstance(text, str):
                raise InputError(f"the {what} of a checkpoint on the hub is a text, not {type(text).__name__}.")
        folder = find_or_fetch(_name_of(name), revision, token, cache)
        made = cls(folder, device, trust=trust, tta=tta)
        if folder.name not in os.fspath(name):  # the hub's cache calls it by its commit
            made.network.checkpoint |= {"name": os.fspath(name), "revision": folder.name}
        return made

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Copy the checkpoint to a new folder, which `from_pretrained` opens."""
        target = path_of(folder, "the folder of a checkpoint").absolute()
        if os.path.lexists(target) and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{target} is there already and is no folder, or not empty; give another name.")
        files = [path for pattern in FILES for path in sorted(self._folder().glob(pattern))]
        names = [path.name for path in files]
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial_folder(target.parent, names) as partial:
            for path in files:
                shutil.copyfile(path, partial / path.name)
            put_in_place(partial, target, names)

    def push_to_hub(self, repository: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload the checkpoint to `org/name` on the Hugging Face hub and return its address. Needs the extra `[hub]`."""
        return push(self._folder(), repository, private, token)

    def _folder(self) -> Path:
        folder = getattr(self.network, "folder", None)
        if folder is None:
            raise InputError("this Predictor was made of a network without a checkpoint folder; save that first.")
        return folder

    @overload
    def __call__(
        self,
        photo: AnyPhoto,
        camera: Camera | None = None,
        fov_deg: float | int | None = None,
        *,
        depth: AnyDepth | DepthTeacher | None = None,
        depth_options: DepthOptions | None = None,
        camera_height_m: float | int | None = None,
        known_length: KnownLength | None = None,
        min_score: float | int = 0.0,
    ) -> PanopticScene: ...

    @overload
    def __call__(
        self,
        photo: Sequence[AnyPhoto],
        camera: Camera | None = None,
        fov_deg: float | int | None = None,
        *,
        cameras: Sequence[Camera | None] | None = None,
        depth: DepthTeacher | Sequence[AnyDepth | None] | None = None,
        depth_options: DepthOptions | None = None,
        camera_height_m: float | int | None = None,
        known_length: KnownLength | None = None,
        min_score: float | int = 0.0,
        batch_size: int = 1,
    ) -> list[PanopticScene]: ...

    def __call__(
        self,
        photo: AnyPhoto | Sequence[AnyPhoto],
        camera: Camera | None = None,
        fov_deg: float | int | None = None,
        *,
        cameras: Sequence[Camera | None] | None = None,
        depth: AnyDepth | DepthTeacher | Sequence[AnyDepth | None] | None = None,
        depth_options: DepthOptions | None = None,
        camera_height_m: float | int | None = None,
        known_length: KnownLength | None = None,
        min_score: float | int = 0.0,
        batch_size: int = 1,
    ) -> PanopticScene | list[PanopticScene]:
        """One photo gives one scene, a list of photos a list of scenes.

        A photo is a path, the bytes of a file, a Pillow image, or an array or tensor of shape (h, w, 3) or (3, h, w) in uint8
        or in floats from 0 to 1.

        Without a camera EXIF says, and then `FALLBACK_FOV_DEG`. Things that score less than `min_score` are left out.
        `batch_size` photos go through the network together.

        `depth` is registered to the photo, at any size: a file, or an array of metres with 0 or NaN where nothing is known.
        For several photos it is a list. `depth_options` say if it is not metric, or not along the axis.
        A `DepthTeacher` is asked about each photo. `camera_height_m` is above the floor; a `KnownLength` is between
        two pixels of the photo at its full size.
        """
        check_min_score(min_score)
        if not isinstance(batch_size, int) or batch_size < 1:
            raise InputError(f"batch_size is {batch_size!r}; give a whole number of at least 1.")
        photos: Sequence[AnyPhoto] = photo if are_many(photo) else [photo]  # pyright: ignore[reportAssignmentType]
        given = given_cameras(len(photos), camera, fov_deg, cameras)
        options = DepthOptions() if depth_options is None else depth_options
        if not isinstance(options, DepthOptions):
            raise InputError(f"the options of a depth are DepthOptions, not {type(options).__name__}.")
        depths = given_depths(len(photos), depth, are_many(photo))
        scenes: list[PanopticScene] = []
        for start in range(0, len(photos), batch_size):
            rows = slice(start, start + batch_size)
            hints = [_hint(one, options, camera_height_m, known_length) for one in depths[rows]]
            scenes += self.batch(photos[rows], given[rows], hints)
        scenes = [without_unsure(scene, min_score) for scene in scenes]
        return scenes if are_many(photo) else scenes[0]

    def batch(
        self,
        photos: Sequence[AnyPhoto],
        given: GivenCamera | Sequence[GivenCamera] | None = None,
        hints: Sequence[PhotoHint] | None = None,
    ) -> list[PanopticScene]:
        """The photos may differ in size: those whose views have one size go through the network together."""
        if os.getpid() != self._process and torch.get_num_threads() > 1:
            raise Panoptic3dError(
                "this Predictor was made before its process was forked, in which torch's threads are gone; make one after "
                "the fork, start processes by `spawn`, or call torch.set_num_threads(1)."
            )
        each = [given or GivenCamera()] * len(photos) if given is None or isinstance(given, GivenCamera) else given
        watch = Stopwatch()
        told = [PhotoHint()] * len(photos) if hints is None else hints
        ready = [self._ready(*row) for row in zip(photos, each, told, strict=True)]
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
        if given == GivenCamera() and isinstance(photo, str | os.PathLike):
            given = camera_beside(Path(photo)) or given
        choice = choose_camera(loaded, given)
        view = seen_by(loaded.image, choice.camera, self.network.view_of(choice.camera))
        if not told.says_something:
            return _Ready(loaded, choice, view, None, {})
        depth, facts = None, {}
        known = taught_depth(told.depth, loaded) if isinstance(told.depth, DepthTeacher) else told.depth
        if known is not None:
            depth = placed_depth(known, choice.camera).seen_from(view.from_photo.inverse())
            facts = {**known.facts, "size": [depth.values.shape[1], depth.values.shape[0]]}
        length = None
        if told.known_length is not None:
            shrunk = PixelMap.resized(loaded.full_size, (loaded.image.shape[2], loaded.image.shape[1]))
            length = told.known_length.seen_from(shrunk.then(view.from_photo))
        return _Ready(loaded, choice, view, SceneHint(depth, told.camera_height_m, length), facts)

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
    fov_deg: float | int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    min_score: float | int = 0.0,
) -> PanopticScene:
    """One photo's scene. It loads the checkpoint each time: for several photos make a `Predictor`."""
    return Predictor(checkpoint, device)(photo, camera, fov_deg, min_score=min_score)


def _hint(
    depth: AnyDepth | DepthTeacher | None,
    options: DepthOptions,
    camera_height_m: float | int | None,
    known_length: KnownLength | None,
) -> PhotoHint:
    known = depth if depth is None or isinstance(depth, DepthTeacher) else load_depth(depth, options)
    return PhotoHint(known, camera_height_m, known_length)


def _opened(
    checkpoint: str | os.PathLike[str] | None, device: str | torch.device, trust: Sequence[str], tta: bool
) -> SceneNetwork:
    if not isinstance(device, str | torch.device):
        raise InputError(f"the device is a name or a torch.device, not {type(device).__name__}.")
    if not isinstance(trust, Sequence) or isinstance(trust, str) or not all(isinstance(name, str) for name in trust):
        raise InputError(f"trust is a list of names of packages, not {trust!r}.")
    return open_network(None if checkpoint is None else _name_of(checkpoint), str(device), trust, tta)


def _name_of(checkpoint: str | os.PathLike[str]) -> str:
    if not isinstance(checkpoint, str | os.PathLike):
        raise InputError(f"a checkpoint is a name or the path of a folder, not {type(checkpoint).__name__}.")
    return os.fspath(checkpoint)


def _of_one_size(ready: Sequence[_Ready]) -> list[list[int]]:
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, one in enumerate(ready):
        rows.setdefault(tuple(one.view.image.shape), []).append(row)
    return list(rows.values())
