"""The content of scene.json, and the extras of each node in the GLB."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from panoptic3d.export.segments import SegmentMesh
from panoptic3d.structures.scene import PanopticScene

FORMAT_VERSION = 1
_SURE, _SHARE_OF_BEST = 0.5, 0.5


def segment_facts(part: SegmentMesh, scene: PanopticScene, instance_color: tuple[int, int, int]) -> dict[str, Any]:
    """Boxes are in the camera frame, metres. What a segment without a surface has no answer for is None."""
    segment, vertices = part.segment, part.mesh.vertices
    low = high = size = distance = None
    if len(vertices):
        low, high = vertices.amin(dim=0), vertices.amax(dim=0)
        size, distance = _rounded(high - low), round(float(vertices.norm(dim=1).min()), 4)
        low, high = _rounded(low), _rounded(high)
    return {
        "name": part.name,
        "id": segment.instance_id if segment else 0,
        "class": scene.taxonomy[segment.class_id].name if segment else "void",
        "class_id": segment.class_id if segment else 0,
        "is_thing": bool(segment and segment.is_thing),
        "score": None if segment is None or segment.score is None else float(segment.score),
        "num_voxels": segment.num_voxels if segment else 0,
        "box_min_m": low,
        "box_max_m": high,
        "size_m": size,
        "distance_m": distance,
        "class_color": list(part.class_color),
        "instance_color": list(instance_color),
    }


def scene_facts(
    scene: PanopticScene, segments: Sequence[dict[str, Any]], up: tuple[float, float, float]
) -> dict[str, Any]:
    """Content of scene.json. Unknown values are None: a scene from ground truth has no checkpoint. `up` is a direction."""
    provenance = dict(scene.provenance)
    return {
        "format_version": FORMAT_VERSION,
        "segments": list(segments),
        "camera": asdict(scene.camera) | {"fov_deg": round(scene.camera.horizontal_fov_deg, 4)},
        "camera_source": provenance.pop("camera_source", None),
        "grid": asdict(scene.grid),
        "up": _rounded(up),
        "frame": "camera: x right, y down, z forward, metres",
        "taxonomy": scene.taxonomy.name,
        "classes": [asdict(c) for c in scene.taxonomy.classes],
        "ignored_classes": list(scene.taxonomy.ignored_ids),
        "checkpoint": provenance.pop("checkpoint", None),
        "seconds": provenance.pop("seconds", None),
        "provenance": provenance,
        "views": [
            {"photo": name, "camera": asdict(view.camera), "scene_from_camera": view.scene_from_camera.tolist()}
            for name, view in zip(_names_of_views(scene), scene.views, strict=True)
        ],
    }


def _names_of_views(scene: PanopticScene) -> Sequence[str | None]:
    """As `fuse` knew them; provenance may be anything."""
    fusion = scene.provenance.get("fusion")
    names = fusion.get("photos") if isinstance(fusion, Mapping) else None
    if isinstance(names, Sequence) and len(names) == len(scene.views):
        return [name if isinstance(name, str) else None for name in names]
    return [None] * len(scene.views)


def unsure_below(segments: Sequence[dict[str, Any]]) -> float:
    """Networks are sure by scales of their own: what scores well below the scene's best thing is unsure, but for what is more
    likely than not.
    """
    scores = [segment["score"] for segment in segments if segment["score"] is not None]
    return min(_SURE, _SHARE_OF_BEST * max(scores, default=0.0))


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]
