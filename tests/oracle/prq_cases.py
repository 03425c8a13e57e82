"""Cases of a folder of PRQ oracle data: the released arrays of a frame, the edits of a case, and its prediction."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

FRAME_FILES = {
    "geometry": "geometry_{}.npz",
    "segmentation": "segmentation_{}.mapped.npz",
    "segmap": "segmap_{}.mapped.npz",
}


@dataclass(frozen=True, eq=False)
class StoredFrame:
    """As released: x and y of the volumes reversed."""

    geometry: np.ndarray
    segmentation: np.ndarray
    segmap: np.ndarray

    @property
    def hashes(self) -> dict[str, str]:
        arrays = {"geometry": self.geometry, "segmentation": self.segmentation, "segmap": self.segmap}
        return {name: hashlib.sha256(np.ascontiguousarray(a)).hexdigest() for name, a in arrays.items()}


def read_expected(root: Path) -> dict[str, Any]:
    return json.loads((root / "expected.json").read_text())


def edited_frame(case: dict[str, Any], front3d_root: Path) -> StoredFrame:
    """The ground truth of a case."""
    frame = _read_frame(front3d_root / case["scene"], case["frame"])
    if not case["gt_edits"]:
        return frame
    frame = StoredFrame(frame.geometry.copy(), frame.segmentation.copy(), frame.segmap.copy())
    for edit in case["gt_edits"]:
        arguments = {key: value for key, value in edit.items() if key != "op"}
        _EDITS[edit["op"]](frame, **{{"from": "old", "to": "new"}.get(k, k): v for k, v in arguments.items()})
    return frame


@lru_cache(maxsize=2)
def _read_frame(folder: Path, frame: str) -> StoredFrame:
    arrays = {name: np.load(folder / pattern.format(frame))["data"] for name, pattern in FRAME_FILES.items()}
    return StoredFrame(**arrays)


def _crop_box(frame: StoredFrame, lo: list[int], hi: list[int]) -> None:
    is_outside = np.ones(frame.geometry.shape, dtype=bool)
    is_outside[tuple(slice(a, b) for a, b in zip(lo, hi, strict=True))] = False
    is_outside = is_outside[::-1, ::-1]
    frame.geometry[is_outside] = 12.0
    frame.segmentation[:, is_outside] = 0


def _keep_first_pixels(frame: StoredFrame, instance: int, keep: int, fill: list[int]) -> None:
    pixels = np.argwhere(frame.segmap[..., 1] == instance)[keep:]
    frame.segmap[pixels[:, 0], pixels[:, 1]] = fill


def _first_pixels_class(frame: StoredFrame, instance: int, count: int, **others: int) -> None:
    pixels = np.argwhere(frame.segmap[..., 1] == instance)[:count]
    frame.segmap[pixels[:, 0], pixels[:, 1], 0] = others["class"]


def _replace_class(frame: StoredFrame, old: int, new: int, to_instance: int) -> None:
    frame.segmap[frame.segmap[..., 0] == old] = [new, to_instance]


def _first_voxels_class(frame: StoredFrame, instance: int, count: int, **others: int) -> None:
    voxels = np.flatnonzero(frame.segmentation[1] == instance)[:count]
    frame.segmentation[0].reshape(-1)[voxels] = others["class"]


def _subdivide(frame: StoredFrame, instance: int, new_ids: list[int]) -> None:
    for ids in (frame.segmentation[1], frame.segmap[..., 1]):
        places = np.nonzero(ids == instance)
        count = len(places[0])
        ids[places] = np.array(new_ids)[np.arange(count) * len(new_ids) // max(count, 1)]


_EDITS = {
    "crop_box": _crop_box,
    "segmap_keep_first_pixels": _keep_first_pixels,
    "segmap_first_pixels_class": _first_pixels_class,
    "segmap_replace_class": _replace_class,
    "seg3d_first_voxels_class": _first_voxels_class,
    "subdivide": _subdivide,
}
