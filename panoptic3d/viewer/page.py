"""index.html: one scene as one file that needs no network. How its script is built: docs/scenes-on-disk.md."""

import base64
import gzip
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from panoptic3d.viewer.anew import call_with_length

_LEVEL = 4
_ROUNDING = 1e-6
_AT_ORIGIN = [[float(row == column) for column in range(4)] for row in range(4)]
_NO_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="  # a clear pixel


def scene_page(
    title: str,
    facts: Mapping[str, Any],
    glb: bytes,
    preview: bytes,
    picture: bytes | None,
    focus_m: list[float],
    unsure_below: float,
    view_pictures: Sequence[bytes | None] = (),
    confidence: bytes = b"",
) -> str:
    """`facts` is what scene.json holds; `preview` is a JPEG for browsers without WebGL; `picture` one in place of a photo
    that the GLB lacks. `focus_m` is a point of the scene, camera frame. Things that score below `unsure_below` are marked,
    and those far below are hidden at first. `view_pictures` are small JPEGs of `facts["views"]`,
    `confidence` has a byte for every vertex of the GLB, or none.
    """
    x, y, z = facts["up"]
    shown = {"camera": facts["camera"], "focus_m": focus_m, "up": [x, -y, -z], "unsure_below": unsure_below}
    shown["anew"] = call_with_length(facts)
    shown |= _photos(facts, view_pictures)
    return _filled(
        _asset("page.html"),
        {
            "title": html.escape(title),
            "camera": html.escape(_camera_line(facts)),
            "about": html.escape(_about_line(facts)),
            "photo": _jpeg(picture) if picture is not None else _NO_PICTURE,
            "preview": _jpeg(preview),
            "facts": json.dumps(shown, allow_nan=False).replace("<", "\\u003c"),
            "glb": _packed(glb),
            "confidence": _packed(confidence) if confidence else "",
            "script": _asset("page.js"),
        },
    )


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, _LEVEL, mtime=0)).decode()


def _photos(facts: Mapping[str, Any], pictures: Sequence[bytes | None]) -> dict[str, Any]:
    """Where each photo was taken, and which of them the scene's own camera took."""
    views = facts.get("views") or []
    photos = [
        {
            "name": view.get("photo"),
            "camera": view["camera"],
            "scene_from_camera": view["scene_from_camera"],
            "picture": None if picture is None else _jpeg(picture),
        }
        for view, picture in zip(views, pictures or [None] * len(views), strict=True)
    ]
    first = next((n for n, photo in enumerate(photos) if _is_at_origin(photo["scene_from_camera"])), None)
    if first is None:
        photos.insert(0, {"name": None, "camera": facts["camera"], "scene_from_camera": _AT_ORIGIN, "picture": None})
    return {"photos": photos, "first_photo": first or 0}


def _is_at_origin(pose: Sequence[Sequence[float]]) -> bool:
    pairs = zip(pose, _AT_ORIGIN, strict=True)
    return all(abs(a - b) < _ROUNDING for own, wanted in pairs for a, b in zip(own, wanted, strict=True))


def _jpeg(picture: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


def _camera_line(facts: Mapping[str, Any]) -> str:
    camera = facts["camera"]
    source = facts["camera_source"] or "not recorded"
    return f"Camera: {camera['fov_deg']:.1f}° wide, {camera['width']} x {camera['height']} px, from: {source}."


def _about_line(facts: Mapping[str, Any]) -> str:
    checkpoint = facts["checkpoint"]
    if checkpoint is None:
        return "No network made this scene: no checkpoint is recorded."
    name = checkpoint.get("name", checkpoint) if isinstance(checkpoint, Mapping) else checkpoint
    return f"Checkpoint: {name}."


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Every {{place}} once, in one pass: what is filled in is not searched for places."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)


def _asset(name: str) -> str:
    return (files("panoptic3d.viewer") / "assets" / name).read_text(encoding="utf-8")
