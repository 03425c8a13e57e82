"""depth.exr, panoptic.png, panoptic.json and points.ply, read by readers that are not ours."""

import io
import json
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import torch
import trimesh
from PIL import Image

from panoptic3d.export.maps import at_photo
from panoptic3d.predictor.scene_folder import scene_files
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import PanopticScene


@pytest.fixture(scope="module")
def files(tiny_scene: PanopticScene) -> dict[str, bytes]:
    return scene_files(tiny_scene, "tiny", maps=True)


def test_depth_is_in_metres_along_the_axis_and_nan_where_nothing_is_known(
    files: dict[str, bytes], tiny_scene: PanopticScene, tmp_path: Path
) -> None:
    (tmp_path / "depth.exr").write_bytes(files["depth.exr"])
    with OpenEXR.File(str(tmp_path / "depth.exr")) as file:
        (channel,) = file.channels().values()
        depth = channel.pixels
    assert depth.shape == (48, 64)
    assert depth[24, 32] == pytest.approx((17.6 - 2.75) * 0.1, abs=0.05)  # the front of the box
    assert np.isnan(depth[0, 0])  # the rim of what the grid knows
    assert tiny_scene.camera.width == 64


def test_pixels_and_json_agree_as_coco_panoptic_has_it(files: dict[str, bytes]) -> None:
    ids = np.asarray(Image.open(io.BytesIO(files["panoptic.png"]))).astype(int) @ np.array([1, 256, 65536])
    document = json.loads(files["panoptic.json"])
    (annotation,) = document["annotations"]
    infos = {info["id"]: info for info in annotation["segments_info"]}
    assert set(np.unique(ids)) - {0} == set(infos)
    categories = {category["id"]: category for category in document["categories"]}
    assert {categories[info["category_id"]]["name"] for info in infos.values()} == {"sofa", "wall", "floor"}
    for number, info in infos.items():
        rows, columns = np.nonzero(ids == number)
        assert info["area"] == len(rows)
        assert info["bbox"] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]


def test_points_lie_where_the_depth_is(files: dict[str, bytes]) -> None:
    points = trimesh.load(io.BytesIO(files["points.ply"]), file_type="ply")
    assert len(points.vertices) > 1000
    assert points.vertices[:, 2].min() == pytest.approx((17.6 - 2.75) * 0.1, abs=0.05)


def test_larger_maps_mix_within_a_surface_and_never_across_an_edge() -> None:
    depth = np.full((12, 16), 2.0)
    depth[:, 8:] = 4.0
    depth[0, 0] = np.inf
    maps = at_photo(depth, np.where(depth == 2.0, 0, 1), Camera.from_fov(60.0, 64, 48))
    known = maps.depth_m[np.isfinite(maps.depth_m)]
    assert set(np.unique(known)) == {2.0, 4.0}
    assert np.isnan(maps.depth_m[:4, :4]).all()
    assert torch.from_numpy(maps.segment).unique().tolist() == [0, 1]
