"""Is the scene that exists already the one that a call asks for?"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from panoptic3d.data.given_depths import DepthPlace
from panoptic3d.errors import BadFileError, InputError
from panoptic3d.files import sha256_of_file
from panoptic3d.predictor.cameras import GivenCamera
from panoptic3d.predictor.photo_list import Order
from panoptic3d.structures.scene_files import FACTS, changed_files, missing_files, read_facts


@dataclass(frozen=True)
class Wanted:
    """What decides over a scene besides its photo."""

    checkpoint: Mapping[str, Any]
    options: Mapping[str, Any]  # of the call, as JSON holds them; those not given are left out
    depth: DepthPlace | None = None

    @classmethod
    def by(
        cls, checkpoint: Mapping[str, Any], given: GivenCamera, depth: DepthPlace | None = None, **options: Any
    ) -> "Wanted":
        of_depth = {} if depth is None else {"depth": True, **depth.options.facts()}
        asked = {**asdict(given), **of_depth, **options}
        kept = {name: value for name, value in asked.items() if value}
        return cls(checkpoint, json.loads(json.dumps(kept)), depth)


def is_there(order: Order, out: Path, wanted: Wanted) -> bool:
    """Whether the scene is there already. `InputError` for anything else in its place than what is wanted."""
    folder = out / order.scene
    _check_parents(order, out)
    if not os.path.lexists(folder):
        return False
    if not folder.is_dir():
        raise _refusal(folder, "is there already and no folder")
    if missing := missing_files(folder):
        raise _refusal(folder, f"is there already and lacks {missing[0]}")
    try:
        facts = read_facts(folder)
        hashes, provenance = facts["sha256"], facts["provenance"]
        changed = changed_files(folder, hashes)
        sha256, options = provenance["photo"]["sha256"], provenance["options"]
    except (BadFileError, OSError, KeyError, TypeError, AttributeError) as error:
        raise _refusal(folder, f"is there already and does not say how it was made ({type(error).__name__})") from None
    if changed:
        raise _refusal(folder, f"is there already and its {changed[0]} is not what was written")
    if sha256 != _sha256_of_photo(order.photo):
        raise _refusal(folder, "is the scene of another photo")
    if facts.get("checkpoint") != wanted.checkpoint:
        raise _refusal(folder, "was made with another checkpoint")
    if options != wanted.options:
        raise _refusal(folder, f"was made with other options ({_told(options)}; now {_told(wanted.options)})")
    if wanted.depth is not None:
        depth = sha256_of_file(wanted.depth.file_for(order.photo, order.scene))
        if provenance.get("depth", {}).get("sha256") != depth:
            raise _refusal(folder, "was made with another depth")
    return True


def _sha256_of_photo(photo: Path) -> str:
    try:
        return sha256_of_file(photo)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{photo} cannot be read ({why}); check the name and its permissions.") from None


def _check_parents(order: Order, out: Path) -> None:
    """A scene in a scene would be hidden by it, and lost with it."""
    folder = (out / order.scene).parent
    while folder != out and len(folder.parts) > len(out.parts):
        if (folder / FACTS).is_file():
            raise InputError(
                f"{out / order.scene} would lie inside of the scene {folder}; give another --out, or move that."
            )
        folder = folder.parent


def _refusal(folder: Path, what: str) -> InputError:
    return InputError(f"{folder} {what}; give another --out, or --overwrite to replace it.")


def _told(options: Any) -> str:
    return json.dumps(options) if options else "none"
