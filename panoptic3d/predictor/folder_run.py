"""Photos by the thousand: in batches, resumable, and no photo stops the next ones."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.export.folder import OutputError, check_place, recover_scenes
from panoptic3d.files import write_text_atomically
from panoptic3d.predictor.cameras import GivenCamera
from panoptic3d.predictor.photo_list import INDEX, Order
from panoptic3d.predictor.photos import Photo, load_photo
from panoptic3d.predictor.predictor import Predictor
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_files import missing_files


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one photo: a scene made now, one that was there already, or a failure with its reason."""

    order: Order
    num_segments: int = 0
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
            "num_segments": self.num_segments,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class _Writing:
    """How scenes get to the disk."""

    out: Path
    overwrite: bool
    simplify_vox: float


def predict_folder(
    orders: Sequence[Order],
    predictor: Predictor,
    out: Path,
    *,
    given: GivenCamera,
    batch_size: int = 1,
    overwrite: bool = False,
    simplify_vox: float = 0.0,
) -> Iterator[Outcome]:
    """One outcome an order: first those that need nothing done, then batch by batch. Only a place that cannot be written
    to ends it early.
    """
    open_orders = []
    for parent in {(out / order.scene).parent for order in orders}:
        recover_scenes(parent)
    for order in orders:
        outcome = _refusal(order, out) if overwrite else _already(order, out, predictor.network.checkpoint)
        if outcome is None:
            open_orders.append(order)
        else:
            yield outcome
    for first in range(0, len(open_orders), batch_size):
        some = open_orders[first : first + batch_size]
        yield from _predict_some(some, predictor, given, _Writing(out, overwrite, simplify_vox))


def explain(error: Exception) -> str:
    """One sentence. What is no error of ours gets its type named, because its words rarely stand alone."""
    text = str(error) if isinstance(error, Panoptic3dError) else f"unexpected {type(error).__name__}: {error}"
    return " ".join(text.split())


def write_index(out: Path, outcomes: Sequence[Outcome]) -> None:
    """JSON lines in the order of the photos, as a whole."""
    lines = [json.dumps(o.record(), ensure_ascii=False) for o in sorted(outcomes, key=lambda o: str(o.order.photo))]
    try:
        write_text_atomically(out / INDEX, "".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise OutputError(f"{out / INDEX} cannot be written ({error.strerror}); choose another place.") from error


def _already(order: Order, out: Path, checkpoint: dict[str, Any]) -> Outcome | None:
    """A whole scene of the same photo and checkpoint needs no second run; one of something else is not replaced."""
    folder = out / order.scene
    if not os.path.lexists(folder):
        return None
    if missing := missing_files(folder):
        return _refused(order, f"{folder} is there already and lacks {missing[0]}")
    try:
        facts = json.loads((folder / "scene.json").read_text())
        photo, num_bytes = facts["provenance"]["photo"], order.photo.stat().st_size
        same_photo = (photo["file"], photo["num_bytes"]) == (order.photo.name, num_bytes)
        same_checkpoint = facts["checkpoint"] == checkpoint
    except (OSError, ValueError, KeyError, TypeError) as error:
        return _refused(order, f"{folder} is there already and cannot be read ({type(error).__name__})")
    if not same_photo:
        return _refused(order, f"{folder} is the scene of another photo")
    if not same_checkpoint:
        return _refused(order, f"{folder} was made with another checkpoint")
    return Outcome(order, num_segments=len(facts["segments"]), was_there=True)


def _refusal(order: Order, out: Path) -> Outcome | None:
    """What is no scene is not replaced, and the photo not looked at in vain."""
    problem = _attempt(check_place, out / order.scene, True)
    return Outcome(order, failure=problem) if problem is not None else None


def _refused(order: Order, what: str) -> Outcome:
    return Outcome(order, failure=InputError(f"{what}; give another --out, or --overwrite to replace it."))


def _predict_some(
    orders: Sequence[Order], predictor: Predictor, given: GivenCamera, writing: _Writing
) -> Iterator[Outcome]:
    loaded: list[tuple[Order, Photo]] = []
    for order in orders:
        photo = _attempt(load_photo, order.photo)
        if isinstance(photo, Exception):
            yield Outcome(order, failure=photo)
        else:
            loaded.append((order, photo))
    if not loaded:
        return
    start_s = time.perf_counter()
    scenes = _attempt(predictor.batch, [photo for _, photo in loaded], given)
    if isinstance(scenes, Exception) and len(loaded) > 1:  # one of them may be to blame: each by itself
        for order, _ in loaded:
            yield from _predict_some([order], predictor, given, writing)
        return
    share_s = (time.perf_counter() - start_s) / len(loaded)
    for row, (order, _) in enumerate(loaded):
        if isinstance(scenes, Exception):
            yield Outcome(order, failure=scenes)
        else:
            yield _saved(order, scenes[row], writing, share_s)


def _saved(order: Order, scene: PanopticScene, writing: _Writing, seconds: float) -> Outcome:
    start_s = time.perf_counter()
    failure = _attempt(scene.save, writing.out / order.scene, writing.overwrite, writing.simplify_vox)
    if isinstance(failure, OutputError):
        raise failure
    seconds += time.perf_counter() - start_s
    return Outcome(order, num_segments=len(scene.segments), seconds=seconds, failure=failure)


def _attempt(work: Any, *arguments: Any) -> Any:
    """The result, or what went wrong: the one place where any error of one photo is taken as that photo's."""
    try:
        return work(*arguments)
    except Exception as error:  # it is named, counted and in the exit code, and the other photos go on
        return error
