"""Depth that another network says of a photo."""

from typing import Any

from panoptic3d.config import fingerprint
from panoptic3d.data.given_depths import DepthOptions, LoadedDepth
from panoptic3d.predictor.photos import Photo
from panoptic3d.teachers.onnx_depth import DepthTeacher


def taught_depth(teacher: DepthTeacher, photo: Photo) -> LoadedDepth:
    options = DepthOptions(teacher.card.kind, teacher.card.along)
    return LoadedDepth(teacher(photo.image), options, teacher.facts(), log_spread=None, is_stretched=True)


def teacher_facts(teacher: DepthTeacher) -> dict[str, Any]:
    """What decides over a scene: the network and all that its card says."""
    return {"name": teacher.card.name, "sha256": teacher.card.sha256, "card": fingerprint(teacher.card)}
