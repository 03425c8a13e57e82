"""index.html: one scene as one file that needs no network. How its script is built: docs/scenes-on-disk.md."""

import base64
import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any


def scene_page(
    title: str, facts: Mapping[str, Any], glb: bytes, photo: bytes, photo_type: str, focus_m: list[float]
) -> str:
    """`facts` is what scene.json holds; `focus_m` is the point, camera frame, around which the view turns at first."""
    shown = {"camera": facts["camera"], "focus_m": focus_m}
    return _filled(
        _asset("page.html"),
        {
            "title": html.escape(title),
            "camera": html.escape(_camera_line(facts)),
            "about": html.escape(_about_line(facts)),
            "photo": f"data:{photo_type};base64,{base64.b64encode(photo).decode()}",
            "facts": json.dumps(shown, allow_nan=False).replace("<", "\\u003c"),
            "glb": base64.b64encode(glb).decode(),
            "script": _asset("page.js"),
        },
    )


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
