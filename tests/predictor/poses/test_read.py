"""Every kind of pose file says the same, and a wrong one says what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from panoptic3d.errors import InputError
from panoptic3d.predictor.cameras import GivenCamera
from panoptic3d.predictor.fusion.sources import Source, scene_of
from panoptic3d.predictor.poses.posed_photos import PosedPhoto, PoseFile, matched, rotation_of
from panoptic3d.predictor.poses.read import read_poses
from panoptic3d.predictor.predictor import Predictor
from tests.predictor.echo import Echo
from tests.predictor.hostile import picture

_QUATERNIONS = ((0.5, 0.5, -0.5, 0.5), (0.8, 0.0, 0.6, 0.0), (1.0, 0.0, 0.0, 0.0))  # w, x, y, z
_PLACES = ((1.0, 2.0, 3.0), (-0.5, 0.25, 4.0), (0.0, 0.0, 0.0))
_NAMES = ("a.jpg", "b.jpg", "c.png")


def _poses() -> list[np.ndarray]:
    poses = []
    for quaternion, place in zip(_QUATERNIONS, _PLACES, strict=True):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation_of(quaternion), place
        poses.append(pose)
    return poses


def _table(folder: Path) -> Path:
    lines = ["# photo tx ty tz qx qy qz qw", ""]
    for name, (w, x, y, z), place in zip(_NAMES, _QUATERNIONS, _PLACES, strict=True):
        lines.append(" ".join(map(str, (name, *place, x, y, z, w))))
    path = folder / "poses.txt"
    path.write_text("\n".join(lines))
    return path


def _transforms(folder: Path) -> Path:
    axes = np.diag([1, -1, -1, 1])
    frames = [
        {"file_path": f"./images/{name}", "transform_matrix": (pose @ axes).tolist()}
        for name, pose in zip(_NAMES, _poses(), strict=True)
    ]
    path = folder / "transforms.json"
    lens = {"fl_x": 300.0, "fl_y": 310.0, "cx": 160.0, "cy": 120.0, "w": 320, "h": 240}
    path.write_text(json.dumps(lens | {"frames": frames}))
    return path


def _colmap(folder: Path) -> Path:
    (folder / "cameras.txt").write_text("# cameras\n1 PINHOLE 320 240 300.0 310.0 160.0 120.0\n")
    lines = ["# images"]
    for number, (name, (w, x, y, z), pose) in enumerate(zip(_NAMES, _QUATERNIONS, _poses(), strict=True), start=1):
        turn = pose[:3, :3].T
        lines.append(" ".join(map(str, (number, w, -x, -y, -z, *(-turn @ pose[:3, 3]), 1, name))))
        lines.append("10.5 20.5 7 30.5 40.5 -1" if number == 1 else "")
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    there = _poses()[0] @ np.array([0.2, 0.1, 2.0, 1.0])
    (folder / "points3D.txt").write_text(f"7 {there[0]} {there[1]} {there[2]} 0 0 0 0.1 1 0\n")
    return folder


def _campose(folder: Path) -> Path:
    for number, pose in enumerate(_poses()):
        np.savez(folder / f"campose_{number:04d}.npz", camera2world=pose)
    return folder


@pytest.mark.parametrize("write", [_table, _transforms, _colmap, _campose])
def test_every_kind_says_the_same(write, tmp_path: Path) -> None:
    poses = read_poses(write(tmp_path))
    for own, true in zip(poses.photos, _poses(), strict=True):
        assert np.allclose(own.world_from_camera, true, atol=1e-9)


@pytest.mark.parametrize("write", [_transforms, _colmap])
def test_pixel_centres_lie_at_integers(write, tmp_path: Path) -> None:
    camera = read_poses(write(tmp_path)).photos[0].camera
    assert camera is not None
    assert (camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px) == (300, 310, 159.5, 119.5)


def test_colmap_tells_the_depth_of_its_points(tmp_path: Path) -> None:
    (u, v, depth), *others = read_poses(_colmap(tmp_path)).photos[0].points.tolist()
    assert not others
    assert (u, v, depth) == pytest.approx((0.1 * 300 + 159.5, 0.05 * 310 + 119.5, 2.0))


def test_photos_find_their_pose_by_name(tmp_path: Path) -> None:
    poses = read_poses(_transforms(tmp_path))
    assert [pose.name for pose in matched(["b.jpg", "images/a.jpg", "c"], poses)] == [
        "images/b.jpg",
        "images/a.jpg",
        "images/c.png",
    ]
    with pytest.raises(InputError, match=r"2 of 3 photos have no pose \(d.jpg, e.jpg\)"):
        matched(["a.jpg", "d.jpg", "e.jpg"], poses)
    with pytest.raises(InputError, match="two photos match"):
        matched(["a.jpg", "x/a.jpg"], poses)


def test_two_poses_that_fit_alike_are_refused() -> None:
    poses = [PosedPhoto(name, np.eye(4)) for name in ("x/a.jpg", "y/a.jpg")]
    with pytest.raises(InputError, match=r"all fit the photo a\.jpg"):
        PoseFile(tuple(poses)).of("a.jpg")


def test_a_field_of_view_needs_no_size(tmp_path: Path) -> None:
    """As NeRF's own scenes have it. Focal lengths without a size say nothing, and that is said."""
    frames = [{"file_path": "./train/r_0", "transform_matrix": np.eye(4).tolist()}]
    (tmp_path / "transforms.json").write_text(json.dumps({"camera_angle_x": np.pi / 3, "frames": frames}))
    poses = read_poses(tmp_path)
    (photo,) = poses.photos
    assert (photo.camera, photo.fov_deg, poses.notes) == (None, pytest.approx(60.0), ())
    (tmp_path / "transforms.json").write_text(json.dumps({"fl_x": 300.0, "frames": frames}))
    (note,) = read_poses(tmp_path).notes
    assert "without the size w and h" in note
    photo_file = tmp_path / "r_0.png"
    picture(64, 48).save(photo_file)
    source = Source(photo_file, "train/r_0.png", is_scene=False)
    scene = scene_of(source, photo, lambda: Predictor(network=Echo()), GivenCamera(fov_deg=90))
    assert scene.camera.horizontal_fov_deg == pytest.approx(60.0)
    assert scene.provenance["camera_source"] == "the file of poses"


_BAD = {
    "empty.txt": ("", "no pose"),
    "words.txt": ("a.jpg 1 2 3", "4 words in line 1"),
    "text.txt": ("a.jpg 0 0 0 0 0 x 1", "could not convert"),
    "long.txt": ("a.jpg 0 0 0 1 1 1 1", "quaternion of length 2"),
    "nan.txt": ("a.jpg nan 0 0 0 0 0 1", "not finite"),
    "twice.txt": ("a.jpg 0 0 0 0 0 0 1\na.jpg 1 0 0 0 0 0 1", "two poses of a.jpg"),
    "list.json": ("[]", "without a list `frames`"),
    "open.json": ("{", "Expecting|found"),
    "scaled.json": (
        '{"frames": [{"file_path": "a", "transform_matrix": [[2,0,0,0],[0,2,0,0],[0,0,2,0],[0,0,0,1]]}]}',
        "frame 0",
    ),
    "wide.json": (
        '{"camera_angle_x": 4, "frames": [{"file_path": "a", "transform_matrix": [[1,0,0,0],[0,1,0,0],[0,0,1,0]]}]}',
        "between 0 and 180 degrees.*frame 0",
    ),
    "nameless.json": ('{"frames": [{"transform_matrix": []}]}', "no 'file_path' in frame 0"),
    "short.json": ('{"frames": [{"file_path": "a", "transform_matrix": [1, 2]}]}', "frame 0"),
}


@pytest.mark.parametrize("name", _BAD)
def test_a_wrong_file_says_what_is_wrong(name: str, tmp_path: Path) -> None:
    text, says = _BAD[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=says):
        read_poses(tmp_path / name)


def test_places_without_poses(tmp_path: Path) -> None:
    for place, says in ((tmp_path / "no", "nothing lies there"), (tmp_path, "holds no poses")):
        with pytest.raises(InputError, match=says):
            read_poses(place)
    (tmp_path / "images.bin").write_bytes(b"")
    with pytest.raises(InputError, match="model_converter"):
        read_poses(tmp_path)
    (tmp_path / "cameras.txt").write_text("1 OPENCV_FISHEYE 320 240 1 1 1 1 0 0 0 0\n")
    (tmp_path / "images.txt").write_text("")
    with pytest.raises(InputError, match="no pinhole camera"):
        read_poses(tmp_path)
