"""The call that makes a scene again at another scale, for its page to show."""

import shlex
from collections.abc import Mapping
from typing import Any

from panoptic3d.errors import printable

LENGTH = "{length}"  # the page replaces it by X1,Y1,X2,Y2,METRES
_FLAGS = {"fov_deg": "--fov-deg", "simplify_vox": "--simplify", "min_score": "--min-score"}
_TO_FOLDER = "anew"


def call_with_length(facts: Mapping[str, Any]) -> dict[str, Any]:
    """From what scene.json holds: `call`, the size (width, height) of the photo whose pixels it counts, and a `note`.

    There is no call where no known length would change the scene.
    """
    provenance = facts.get("provenance") or {}
    photo, depth = provenance.get("photo"), provenance.get("depth") or {}
    if photo is None:
        return _answer(note="This scene was not predicted from one photo, so only this page is scaled.")
    if depth.get("kind") == "metric":
        source = printable(str(depth.get("source", "a depth in metres")))
        return _answer(
            note=f"The scale of this scene comes from {source}; predict it again with depth in another unit."
        )
    checkpoint = facts.get("checkpoint") or {}
    if photo.get("file") is None:
        name = repr(printable(str(checkpoint.get("name", "")))) if checkpoint else ""
        call = f'Predictor({name})(photo, known_length=KnownLength.parse("{LENGTH}"))'
    else:
        call = _command(facts, printable(str(photo["file"])), checkpoint)
    note = "Give its depth again, too." if depth else ""
    return _answer(call, photo["size"], note)


def _command(facts: Mapping[str, Any], file: str, checkpoint: Mapping[str, Any]) -> str:
    options = (facts.get("provenance") or {}).get("options") or {}
    words = ["panoptic3d", "predict", file if not file.startswith("-") else f"./{file}"]
    words += ["--known-length", LENGTH]
    if "intrinsics" in options:
        words += ["--intrinsics", ",".join(f"{value:g}" for value in options["intrinsics"])]
    elif "camera" in options:
        words += ["--intrinsics", _intrinsics(facts)]
    for name, flag in _FLAGS.items():
        if name in options:
            words += [flag, f"{options[name]:g}"]
    if "name" in checkpoint:
        words += ["--checkpoint", printable(str(checkpoint["name"]))]
    words += ["--maps"] if options.get("maps") else []
    words += ["--out", _TO_FOLDER]
    return " ".join(word if word == LENGTH else shlex.quote(word) for word in words)


def _intrinsics(facts: Mapping[str, Any]) -> str:
    """At the full size of the photo; the scene's camera is that of the photo as it was read."""
    camera, (width, height) = facts["camera"], facts["provenance"]["photo"]["size"]
    across, down = width / camera["width"], height / camera["height"]
    centre = (across * (camera["cx_px"] + 0.5) - 0.5, down * (camera["cy_px"] + 0.5) - 0.5)
    return ",".join(f"{v:.6g}" for v in (across * camera["fx_px"], down * camera["fy_px"], *centre))


def _answer(call: str | None = None, size: Any = None, note: str = "") -> dict[str, Any]:
    return {"call": call, "photo_size": size, "note": note}
