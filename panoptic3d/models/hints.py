"""Known facts about a scene beside its photo, inserted between the two halves of the pipeline."""

from typing import Any

from panoptic3d.models.given_depth import with_given_depth
from panoptic3d.models.known_height import with_camera_height
from panoptic3d.models.known_length import with_known_length
from panoptic3d.models.slots import Seen
from panoptic3d.structures.given_depth import SceneHint


def with_hint(seen: Seen, hint: SceneHint) -> tuple[Seen, dict[str, Any]]:
    """Use a hint for one image; also returns facts for scene.json. A known length comes first: it makes the depth metric, to
    which a depth without a scale is fitted.
    """
    facts: dict[str, Any] = {}
    if hint.camera_height_m is not None:
        seen, facts["scale"] = with_camera_height(seen, hint.camera_height_m)
    if hint.known_length is not None:
        seen, facts["scale"] = with_known_length(seen, hint.known_length)
    if hint.depth is not None:
        seen, facts["depth"] = with_given_depth(seen, hint.depth)
    return seen, facts
