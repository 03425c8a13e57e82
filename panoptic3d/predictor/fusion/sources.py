"""What `panoptic3d fuse DIR` fuses: the photos in a folder, or the scenes that were predicted of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from panoptic3d.errors import InputError
from panoptic3d.predictor.cameras import GivenCamera
from panoptic3d.predictor.photo_list import list_orders
from panoptic3d.predictor.photos import load_photo
from panoptic3d.predictor.poses.posed_photos import PosedPhoto, matched
from panoptic3d.predictor.poses.read import read_poses
from panoptic3d.predictor.poses.structure_from_motion import photos_placed_by_colmap
from panoptic3d.predictor.predictor import Predictor
from panoptic3d.predictor.saved_scene import load_scene
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_files import FACTS

FOUND = "colmap"  # in place of a file of poses: structure from motion finds them


@dataclass(frozen=True)
class Source:
    """A photo, or the folder of its scene."""

    path: Path
    name: str  # by which its pose is found
    is_scene: bool


def list_sources(folder: Path, out: Path) -> list[Source]:
    """In the order of names."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give one with photos of a room, or with their scenes.")
    scenes = sorted(
        path.parent for path in folder.rglob(FACTS) if path.parent != folder and path.parent.resolve() != out.resolve()
    )
    try:
        orders = list_orders([folder], out)
    except InputError:
        if not scenes:
            raise
        orders = []
    if scenes and orders:
        raise InputError(
            f"{folder} holds {len(orders)} photos and {len(scenes)} scenes; give a folder with one of the two."
        )
    if scenes:
        return [Source(path, str(path.relative_to(folder)), True) for path in scenes]
    return [Source(order.photo, str(order.photo.relative_to(folder)), False) for order in orders]


def posed_sources(
    sources: list[Source], poses: str, given: GivenCamera
) -> tuple[list[tuple[Source, PosedPhoto]], tuple[str, ...]]:
    """Each with its pose from a file, or as structure from motion finds it, and notes for the user."""
    if not sources:
        raise InputError("the folder holds no photo and no scene; give one with photos of a room.")
    if poses != FOUND:
        read = read_poses(Path(poses))
        return list(zip(sources, matched([source.name for source in sources], read), strict=True)), read.notes
    if any(source.is_scene for source in sources):
        raise InputError(
            "--poses colmap looks at photos, and the folder holds scenes; give the folder of their photos."
        )
    found = photos_placed_by_colmap([(source.name, load_photo(source.path)) for source in sources], given)
    pose_of = {pose.name: pose for pose in found.photos}
    return [(source, pose_of[source.name]) for source in sources if source.name in pose_of], found.notes


def scene_of(source: Source, pose: PosedPhoto, predictor: Callable[[], Predictor], given: GivenCamera) -> PanopticScene:
    """Load or predict the scene of a photo. Intrinsics in the poses override EXIF and the camera of the call."""
    if source.is_scene:
        scene = load_scene(source.path)
        _refuse_other_lens(source, scene.camera, pose)
        return scene
    try:
        photo = load_photo(source.path)
        (scene,) = predictor().batch([photo], _camera_of(pose) or given)
    except InputError as error:
        raise InputError(f"{source.path} cannot be used: {error}") from error
    return scene


def _camera_of(pose: PosedPhoto) -> GivenCamera | None:
    """None where the file of poses says nothing of the lens."""
    if pose.camera is None and pose.fov_deg is None:
        return None
    return GivenCamera(camera=pose.camera, fov_deg=pose.fov_deg, source="the file of poses")


def _refuse_other_lens(source: Source, used: Camera, pose: PosedPhoto) -> None:
    """A scene was made with a camera, which poses cannot change any more."""
    other = pose.fov_deg if pose.camera is None else pose.camera.horizontal_fov_deg
    if other is None:
        return
    fov = used.horizontal_fov_deg
    if abs(fov - other) > 2:
        raise InputError(
            f"{source.path} was predicted with a field of view of {fov:.1f} degrees and its pose says {other:.1f}; "
            "fuse the photos themselves, which takes the camera of the poses."
        )


class Opened:
    """A predictor that is made when the first photo needs it: scenes need none."""

    def __init__(self, checkpoint: str | None, device: str, trust: Sequence[str] = (), tta: bool = False) -> None:
        self._checkpoint, self._device, self._trust, self._tta = checkpoint, device, trust, tta
        self._predictor: Predictor | None = None

    def __call__(self) -> Predictor:
        if self._predictor is None:
            self._predictor = Predictor(self._checkpoint, self._device, trust=self._trust, tta=self._tta)
        return self._predictor


def parse_scale(text: str) -> float | None:
    """Metres of a unit of the poses; None for `auto`."""
    if text == "auto":
        return None
    try:
        scale = float(text)
    except ValueError:
        scale = float("nan")
    if not 1e-6 < scale < 1e6:
        raise InputError(f"--pose-scale is {text!r}; give auto, or the metres of a unit of the poses.")
    return scale
