"""Per-pixel results for other tools: depth, COCO panoptic, and points with colours (`predict --maps`)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int64, UInt8
from PIL import Image

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.taxonomy import Taxonomy

_ONE_SURFACE = 0.03  # of depth: pixels that differ by more are not mixed
_BASE = 256


@dataclass(frozen=True, eq=False)
class PhotoMaps:
    """At the size of the photo. `segment` is the place in the list of segments, -1 where none is."""

    camera: Camera
    depth_m: Float32[np.ndarray, "h w"]  # NaN where unknown
    segment: Int64[np.ndarray, "h w"]


def at_photo(depth_m: Float[np.ndarray, "h w"], segment: Int64[np.ndarray, "h w"], camera: Camera) -> PhotoMaps:
    """Larger: depth in between on one surface, as a plane has it, and from the nearest pixel across its edges."""
    height, width = depth_m.shape
    near = np.where(np.isfinite(depth_m), 1 / np.where(np.isfinite(depth_m), depth_m, 1.0), np.nan)
    size = (camera.width, camera.height)
    rows = np.minimum((np.arange(camera.height) + 0.5) * height / camera.height, height - 1e-6).astype(np.int64)
    columns = np.minimum((np.arange(camera.width) + 0.5) * width / camera.width, width - 1e-6).astype(np.int64)
    nearest = near[rows[:, None], columns]
    mixed = np.asarray(Image.fromarray(near.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    with np.errstate(invalid="ignore"):
        is_one = np.abs(mixed - nearest) < _ONE_SURFACE * nearest  # false beside what is unknown
    depth = 1 / np.where(is_one, mixed, nearest)
    return PhotoMaps(camera, depth.astype(np.float32), segment[rows[:, None], columns])


def coco_png(maps: PhotoMaps) -> UInt8[np.ndarray, "h w 3"]:
    """The id of a pixel is R + 256 G + 256^2 B; 0 is unlabelled."""
    ids = maps.segment + 1
    return np.stack((ids % _BASE, ids // _BASE % _BASE, ids // _BASE**2), axis=-1).astype(np.uint8)


def coco_json(maps: PhotoMaps, segments: Sequence[dict[str, Any]], taxonomy: Taxonomy, photo: str) -> bytes:
    """One image with its annotation, as the panoptic API reads it; ids are those of the pixels of panoptic.png."""
    categories = [
        {"id": c.id, "name": c.name, "supercategory": c.name, "isthing": int(c.kind == "thing"), "color": list(c.color)}
        for c in taxonomy.classes
        if c.kind != "void"
    ]
    listed = [_segment_info(maps, number, facts) for number, facts in enumerate(segments)]
    document = {
        "images": [{"id": 1, "file_name": photo, "width": maps.camera.width, "height": maps.camera.height}],
        "annotations": [
            {"image_id": 1, "file_name": "panoptic.png", "segments_info": [info for info in listed if info["area"]]}
        ],
        "categories": categories,
    }
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def _segment_info(maps: PhotoMaps, number: int, facts: dict[str, Any]) -> dict[str, Any]:
    rows, columns = np.nonzero(maps.segment == number)
    box = [0, 0, 0, 0]
    if len(rows):
        left, top = int(columns.min()), int(rows.min())
        box = [left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1]
    info = {"id": number + 1, "category_id": facts["class_id"], "area": len(rows), "bbox": box, "iscrowd": 0}
    return info | {"name": facts["name"]} | ({} if facts["score"] is None else {"score": facts["score"]})


def points_ply(maps: PhotoMaps, photo: UInt8[np.ndarray, "h w 3"], segments: Sequence[dict[str, Any]]) -> bytes:
    """A point for every pixel of known depth: camera frame (x right, y down, z forward), metres, sRGB, class and instance."""
    rows, columns = np.nonzero(np.isfinite(maps.depth_m))
    depth = maps.depth_m[rows, columns]
    number = maps.segment[rows, columns]
    camera = maps.camera
    points = np.zeros(len(rows), [("xyz", "<f4", 3), ("rgb", "u1", 3), ("semantic", "u1"), ("instance", "<i4")])
    x = (columns - camera.cx_px) / camera.fx_px * depth
    points["xyz"] = np.stack((x, (rows - camera.cy_px) / camera.fy_px * depth, depth), axis=1)
    points["rgb"] = photo[rows, columns]
    points["semantic"] = np.array([*(s["class_id"] for s in segments), 0])[number]
    points["instance"] = np.array([*(s["id"] for s in segments), 0])[number]
    properties = [f"property float {axis}" for axis in "xyz"]
    properties += [f"property uchar {name}" for name in ("red", "green", "blue", "semantic")]
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        "comment camera frame: x right, y down, z forward, metres",
        f"element vertex {len(points)}",
        *properties,
        "property int instance",
        "end_header",
    ]
    return "\n".join(lines).encode() + b"\n" + points.tobytes()
