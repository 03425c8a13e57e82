"""Predict many photos: in batches, resumable, and no photo stops the others."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from panoptic3d.data.given_depths import DepthPlace
from panoptic3d.errors import Panoptic3dError, printable
from panoptic3d.export.folder import OutputError, check_place, recover_scenes, would_meet_all
from panoptic3d.files import claimed
from panoptic3d.predictor.already import Wanted, is_there
from panoptic3d.predictor.camera_files import CameraPlace
from panoptic3d.predictor.cameras import GivenCamera
from panoptic3d.predictor.found import Found
from panoptic3d.predictor.least_score import without_unsure
from panoptic3d.predictor.photo_list import Order
from panoptic3d.predictor.photos import Photo, load_photo
from panoptic3d.predictor.predictor import PhotoHint, Predictor
from panoptic3d.predictor.scene_index import update_index
from panoptic3d.structures.given_depth import KnownLength
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.teachers.teacher import DepthTeacher


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one photo: a scene made now, one that was there already, or a failure with its reason."""

    order: Order
    found: Found | None = None  # in the scene; None without a scene
    seconds: float = 0.0
    was_there: bool = False
    failure: Exception | None = None

    def without_frames(self) -> "Outcome":
        """Tracebacks hold on to the pictures of failed photos: of thousands that is all memory."""
        if self.failure is None:
            return self
        bare = self.failure.with_traceback(None)
        bare.__cause__ = bare.__context__ = None
        return replace(self, failure=bare)

    def record(self) -> dict[str, Any]:
        """A line of the index."""
        error = None if self.failure is None else explain(self.failure)
        return {
            "photo": str(self.order.photo),
            "scene": None if error else self.order.scene,
            "error": error,
            "num_segments": 0 if self.found is None else self.found.num_segments,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class _Writing:
    """How scenes get to the disk."""

    out: Path
    overwrite: bool
    simplify_vox: float
    maps: bool
    min_score: float | int
    asking: "_Asking"

    def wanted_of(self, order: Order) -> Wanted:
        asking = self.asking
        given = asking.cameras.of(order.photo)
        options: dict[str, Any] = {"simplify_vox": self.simplify_vox, "maps": self.maps, "min_score": self.min_score}
        options |= {"camera_height_m": asking.camera_height_m, "tta": asking.predictor.tta}
        options |= {"known_length": None if asking.known_length is None else asdict(asking.known_length)}
        if isinstance(asking.depth, DepthTeacher):
            options["depth_model"] = asking.depth.facts()
        files = asking.depth if isinstance(asking.depth, DepthPlace) else None
        return Wanted.by(asking.predictor.network.checkpoint, given, files, **options)


_Loaded = tuple[Photo, GivenCamera, PhotoHint]


@dataclass(frozen=True)
class _Asking:
    """The predictor, and what is known about the photos: cameras, depth, and scale."""

    predictor: Predictor
    cameras: CameraPlace
    depth: DepthPlace | DepthTeacher | None
    camera_height_m: float | None
    known_length: KnownLength | None = None

    def load(self, order: Order) -> _Loaded:
        depth = self.depth.load(order.photo, order.scene) if isinstance(self.depth, DepthPlace) else self.depth
        return (
            load_photo(order.photo),
            self.cameras.of(order.photo),
            PhotoHint(depth, self.camera_height_m, self.known_length),
        )

    def scenes(self, loaded: Sequence[_Loaded]) -> list[PanopticScene]:
        photos, cameras, hints = zip(*loaded, strict=True)
        return self.predictor.batch(photos, cameras, hints)


def predict_folder(
    orders: Sequence[Order],
    predictor: Predictor,
    out: Path,
    *,
    cameras: CameraPlace | None = None,
    batch_size: int = 1,
    overwrite: bool = False,
    simplify_vox: float = 0.0,
    maps: bool = False,
    depth: DepthPlace | DepthTeacher | None = None,
    camera_height_m: float | None = None,
    known_length: KnownLength | None = None,
    min_score: float | int = 0.0,
) -> Iterator[Outcome]:
    """Yield one outcome per photo: first scenes that are there already, then batch by batch. Only an unwritable output folder
    ends it early. Photos that another process is working on come last.
    """
    asking = _Asking(predictor, cameras or CameraPlace(), depth, camera_height_m, known_length)
    writing = _Writing(out, overwrite, simplify_vox, maps, min_score, asking)
    for parent in {(out / order.scene).parent for order in orders}:
        recover_scenes(parent)
    open_orders = []
    for order in orders:
        outcome = _without_work(order, writing)
        if outcome is None:
            open_orders.append(order)
        else:
            yield outcome
    elsewhere: list[Order] = []
    is_new = not out.exists()
    try:
        for some in _batches(open_orders, batch_size):
            yield from _predict_claimed(some, asking, writing, elsewhere)
        for order in elsewhere:
            yield from _predict_claimed([order], asking, writing, None)
    finally:
        if is_new:
            with suppress(OSError):  # only an empty one goes: nothing came of it
                out.rmdir()


def explain(error: Exception) -> str:
    """The error as one sentence. For errors of other libraries the type is named, because their messages rarely suffice."""
    text = str(error) if isinstance(error, Panoptic3dError) else f"unexpected {type(error).__name__}: {error}"
    return printable(" ".join(text.split()))


def write_index(out: Path, outcomes: Sequence[Outcome]) -> None:
    update_index(out, [outcome.record() for outcome in outcomes])


def _without_work(order: Order, writing: _Writing) -> Outcome | None:
    """A whole scene of the same photo, checkpoint and options needs no second run; anything else is not replaced, unless that
    is asked for and it is a scene.
    """
    if writing.overwrite:
        problem = _attempt(check_place, writing.out / order.scene, True)
        return Outcome(order, failure=problem) if problem is not None else None
    found = _attempt(_found_there, order, writing)
    if isinstance(found, Exception):
        return Outcome(order, failure=found)
    return None if found is None else Outcome(order, found, was_there=True)


def _found_there(order: Order, writing: _Writing) -> Found | None:
    if not is_there(order, writing.out, writing.wanted_of(order)):
        return None
    return Found.in_scene(writing.out / order.scene)


def _batches(orders: Sequence[Order], size: int) -> Iterator[Sequence[Order]]:
    return (orders[first : first + size] for first in range(0, len(orders), size))


def _predict_claimed(
    orders: Sequence[Order],
    asking: _Asking,
    writing: _Writing,
    elsewhere: list[Order] | None,
) -> Iterator[Outcome]:
    """Photos that another process is working on are added to `elsewhere`; if that is None, wait for them."""
    mine = []
    with ExitStack() as claims:
        for order in orders:
            try:
                writing.out.mkdir(parents=True, exist_ok=True)
                is_mine = claims.enter_context(claimed(writing.out, order.scene, is_patient=elsewhere is None))
            except OSError:  # an unwritable folder is reported when the scene is written
                is_mine = True
            if not is_mine and elsewhere is not None:
                elsewhere.append(order)
            elif (outcome := _without_work(order, writing)) is not None:  # made by another process meanwhile
                yield outcome
            else:
                mine.append(order)
        yield from _predict_some(mine, asking, writing)


def _predict_some(orders: Sequence[Order], asking: _Asking, writing: _Writing) -> Iterator[Outcome]:
    loaded: list[tuple[Order, _Loaded]] = []
    for order in orders:
        photo = _attempt(asking.load, order)
        if isinstance(photo, Exception):
            yield Outcome(order, failure=photo)
        else:
            loaded.append((order, photo))
    if not loaded:
        return
    start_s = time.perf_counter()
    scenes = _attempt(asking.scenes, [photo for _, photo in loaded])
    if isinstance(scenes, Exception) and len(loaded) > 1:  # one of them may be to blame: each by itself
        for order, _ in loaded:
            yield from _predict_some([order], asking, writing)
        return
    share_s = (time.perf_counter() - start_s) / len(loaded)
    for row, (order, _) in enumerate(loaded):
        if isinstance(scenes, Exception):
            yield Outcome(order, failure=scenes)
        else:
            yield _saved(order, scenes[row], writing, share_s)


def _saved(order: Order, scene: PanopticScene, writing: _Writing, seconds: float) -> Outcome:
    start_s = time.perf_counter()
    found = _attempt(_found_when_saved, order, scene, writing)
    if isinstance(found, OutputError) and would_meet_all(found, writing.out):
        raise found
    seconds += time.perf_counter() - start_s
    if isinstance(found, Exception):
        return Outcome(order, seconds=seconds, failure=found)
    return Outcome(order, found, seconds)


def _found_when_saved(order: Order, scene: PanopticScene, writing: _Writing) -> Found:
    provenance = {**scene.provenance, "options": dict(writing.wanted_of(order).options)}
    scene = replace(without_unsure(scene, writing.min_score), provenance=provenance)
    scene.save(writing.out / order.scene, writing.overwrite, writing.simplify_vox, writing.maps)
    return Found.in_scene(writing.out / order.scene)


def _attempt(work: Any, *arguments: Any) -> Any:
    """Result of the call, or its exception: the only place where any error counts as a failure of one photo."""
    try:
        return work(*arguments)
    except Exception as error:  # it is named, counted and in the exit code, and the other photos go on
        return error
