"""Camera poses of files: rigid motions, or refused."""

import numpy as np

from panoptic3d.data.arrays import PathLike
from panoptic3d.data.reasons import bad_file

_RIGID_TOLERANCE = 1e-4


def check_pose(path: PathLike, pose: np.ndarray) -> None:
    rotation = pose[:3, :3]
    is_rigid = (
        np.isfinite(pose).all()
        and np.allclose(rotation @ rotation.T, np.eye(3), atol=_RIGID_TOLERANCE)
        and np.linalg.det(rotation) > 0
        and np.array_equal(pose[3], [0, 0, 0, 1])
    )
    if not is_rigid:
        found = np.array2string(pose, precision=3).replace("\n", "")
        raise bad_file(path, "bad_pose", expected="a rotation and a translation", found=found, key="camera2world")
