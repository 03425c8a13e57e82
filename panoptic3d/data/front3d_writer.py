"""Writes the released 3D-Front layout: what a generator makes, and what `unpack` brings back."""

import io
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from panoptic3d.data.arrays import PathLike
from panoptic3d.data.front3d import ORIENTATION, Front3dFiles
from panoptic3d.data.npz_writer import npz_bytes
from panoptic3d.data.pictures import DEPTH_CHANNEL
from panoptic3d.errors import InputError
from panoptic3d.files import write_bytes_atomically
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.sample import FAR_VOX, Sample, VoxelTruth


def write_front3d_sample(root: PathLike, sample: Sample, room_id: int = 0) -> Front3dFiles:
    """Every file of one frame, each whole or not there. The root's frustum mask is `write_frustum_mask`'s.

    The pose file is written with the right focal lengths; the release has a wrong vertical one there.
    """
    files = Front3dFiles(Path(root), sample.scene, sample.frame)
    files.image.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(files.image, _png_bytes(sample.image.permute(1, 2, 0).numpy()))
    write_bytes_atomically(files.depth, exr_bytes(sample.depth_m.numpy()))
    segmap = np.stack((sample.semantic_2d.numpy(), sample.instance_2d.numpy()), axis=-1)
    _write_npz(files.segmap, {"data": segmap.astype(np.uint32)})
    if sample.world_from_camera is not None:
        _write_npz(files.campose, _pose_arrays(sample.world_from_camera.numpy(), sample.camera, room_id))
    if sample.truth is not None:
        _write_truth(files, sample.truth)
    return files


def write_frustum_mask(root: PathLike, mask: Tensor) -> Path:
    """The camera-aligned mask, in the orientation in which the release stores it."""
    path = Path(root) / "frustum_mask.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_npz(path, {"mask": ORIENTATION.aligned(mask.numpy())})
    return path


def _write_truth(files: Front3dFiles, truth: VoxelTruth) -> None:
    if truth.fill_distance_vox != FAR_VOX or bool((truth.distance_vox < 0).any()):
        raise InputError(
            f"{files.geometry}: the 3D-Front layout holds unsigned distances, these are signed; take their magnitude."
        )
    distance, weight = truth.dense_distance_vox().numpy(), truth.dense_weight().numpy()
    labels = np.stack([ORIENTATION.aligned(v.numpy()) for v in (truth.dense_semantic(), truth.dense_instance())])
    _write_npz(files.geometry, {"data": ORIENTATION.aligned(distance).astype(np.float64)})
    _write_npz(files.segmentation, {"data": labels.astype(np.int32)})
    _write_npz(files.weighting, {"data": ORIENTATION.aligned(weight).astype(np.int16)})


def _pose_arrays(world_from_camera: np.ndarray, camera: Camera, room_id: int) -> dict[str, np.ndarray]:
    from scipy.spatial.transform import Rotation

    blender = world_from_camera * np.array([1.0, -1.0, -1.0, 1.0])  # its cameras look along -z with y up
    euler = Rotation.from_matrix(blender[:3, :3]).as_euler("xyz")
    return {
        "camera2world": world_from_camera,
        "intrinsic": camera.intrinsics.numpy(),
        "fov_x": np.array(2 * math.atan(camera.width / 2 / camera.fx_px)),
        "fov_y": np.array(2 * math.atan(camera.height / 2 / camera.fy_px)),
        "room_id": np.array(room_id, np.int64),
        "blender_matrix": blender,
        "blender_location": world_from_camera[:3, 3],
        "blender_rotation_euler": np.asarray(euler),
    }


def _write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    write_bytes_atomically(path, npz_bytes(arrays))


def _png_bytes(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG")
    return buffer.getvalue()


def exr_bytes(depth_m: np.ndarray) -> bytes:
    """One channel of float32, metres."""
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with tempfile.TemporaryDirectory() as folder:  # OpenEXR writes to paths only
        path = Path(folder) / "depth.exr"
        with OpenEXR.File(header, {DEPTH_CHANNEL: np.ascontiguousarray(depth_m)}) as file:
            file.write(str(path))
        return path.read_bytes()
