"""Depth of a photo from another network."""

from panoptic3d.data.given_depths import DepthOptions, LoadedDepth
from panoptic3d.predictor.photos import Photo
from panoptic3d.teachers.teacher import DepthTeacher


def taught_depth(teacher: DepthTeacher, photo: Photo) -> LoadedDepth:
    """Believed as far as it agrees with the network's own."""
    options = DepthOptions(teacher.kind, teacher.along)
    return LoadedDepth(teacher(photo.image), options, teacher.facts(), log_spread=None, is_stretched=True)
