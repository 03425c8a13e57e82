"""Depth beside a photo: found by name, registered or refused, and what becomes of the scene."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from panoptic3d.cli.main import main
from panoptic3d.data.front3d_writer import exr_bytes
from panoptic3d.data.given_depths import DepthOptions, DepthPlace, load_depth, placed_depth
from panoptic3d.errors import InputError
from panoptic3d.predictor.photos import photo_from_array
from panoptic3d.predictor.predictor import PhotoHint, Predictor
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.given_depth import SceneHint
from panoptic3d.structures.scene import PanopticScene
from tests.hostile.conftest import checkpoint  # noqa: F401  a fixture
from tests.predictor.echo import Echo
from tests.predictor.hostile import picture

CAMERA = Camera(70.0, 72.0, 38.0, 31.0, 80, 60)
PHOTO = photo_from_array(picture(80, 60))


def _wall() -> np.ndarray:
    """A slanted wall at the photo's pixels, with a hole."""
    u = np.arange(80)[None] + np.zeros((60, 1))
    depth = (2 / (1 - 0.2 * (u - 38) / 70)).astype(np.float32)
    depth[20:40, 30:50] = 0
    return depth


def test_depth_of_any_size_lies_where_the_photo_has_it() -> None:
    whole = _wall()
    given = placed_depth(load_depth(np.repeat(np.repeat(whole, 3, 0), 3, 1)), CAMERA)
    at_photo = given.from_image.read(given.values, 80, 60, float("nan"))
    assert np.array_equal(np.nan_to_num(at_photo.numpy()), whole)


def test_along_the_ray_is_longer_than_along_the_axis() -> None:
    """By hand: at pixel (u, v) by the root of 1 + x^2 + y^2, which is 1 in the middle."""
    ray = np.full((60, 80), 3.0, np.float32)
    values = placed_depth(load_depth(ray, DepthOptions(along="ray")), CAMERA).values
    assert float(values[31, 38]) == pytest.approx(3.0)
    x, y = (79 - 38) / 70, (59 - 31) / 72
    assert float(values[59, 79]) == pytest.approx(3.0 / (1 + x * x + y * y) ** 0.5)


@pytest.mark.parametrize("size", [(60, 83), (80, 60), (120, 80), (30, 30)])
def test_depth_of_another_frame_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="another frame"):
        placed_depth(load_depth(np.ones(size, np.float32)), CAMERA)


def test_another_lens_is_refused_with_what_to_do() -> None:
    values = np.ones((120, 160), np.float32)
    twice = CAMERA.resized(160, 120)
    right = (twice.fx_px, twice.fy_px, twice.cx_px, twice.cy_px)
    placed_depth(load_depth(values, DepthOptions(intrinsics=right)), CAMERA)
    with pytest.raises(InputError, match="register the depth to the photo"):
        placed_depth(load_depth(values, DepthOptions(intrinsics=(120.0, 120.0, 79.5, 59.5))), CAMERA)


def test_negative_and_implausible_depths_are_refused_where_they_are_metres() -> None:
    with pytest.raises(InputError, match="negative"):
        load_depth(-np.ones((48, 64), np.float32))
    with pytest.raises(InputError, match="--depth-unit"):
        load_depth(np.full((48, 64), 2400.0, np.float32))
    load_depth(-np.ones((48, 64), np.float32), DepthOptions("affine"))
    for tensor in (torch.ones(48, 64).to_sparse(), torch.ones(48, 64, device="meta")):
        with pytest.raises(InputError, match="a depth in memory is a dense tensor"):
            load_depth(tensor)
    assert load_depth(torch.ones(48, 64, dtype=torch.bfloat16)).values.dtype == np.float32
    load_depth(np.full((48, 64), 2400.0, np.float32), DepthOptions("scale"))


@pytest.mark.parametrize(
    ("photo", "depth"),
    [("a.jpg", "a.exr"), ("rgb_0001.png", "depth_0001.exr"), ("color_00000.jpg", "depth_00000.png"), ("b.png", "b/depth.exr"),
     ("c.png", "c_depth.tiff")],
)  # fmt: skip
def test_a_folder_has_each_photos_depth_by_its_name(photo: str, depth: str, tmp_path: Path) -> None:
    for name in (depth, "other.exr"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    place = DepthPlace(tmp_path, DepthOptions())
    assert place.file_for(Path(photo), Path(photo).stem) == tmp_path / depth
    with pytest.raises(InputError, match="no depth of nothing"):
        place.file_for(Path("nothing.jpg"), "nothing")
    (tmp_path / f"{Path(photo).stem}.npy").write_bytes(b"x")
    if Path(depth).stem == Path(photo).stem:
        with pytest.raises(InputError, match="2 depths"):
            place.file_for(Path(photo), Path(photo).stem)


def test_a_network_that_takes_photos_alone_says_so() -> None:
    with pytest.raises(InputError, match="photo alone"):
        Predictor(network=Echo())(PHOTO, CAMERA, depth=_wall())
    with pytest.raises(InputError, match="camera height"):
        PhotoHint(camera_height_m=-1.0)


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:  # noqa: F811
    return Predictor(checkpoint, "cpu")


@pytest.mark.slow
def test_measured_depth_is_the_scenes_and_holes_are_filled_by_its_own(predictor: Predictor) -> None:
    scene = predictor(PHOTO, CAMERA, depth=_wall())
    facts = scene.provenance["depth"]
    assert facts["kind"] == "metric"
    assert facts["share_measured"] == pytest.approx(1 - 400 / 4800, abs=0.01)
    depth = scene.depth
    assert depth is not None
    gap = (depth.numpy() / np.where(_wall() > 0, _wall(), np.nan) - 1)[:, :-1]
    assert np.nanmedian(np.abs(gap)) < 0.01
    inside = depth[20:40, 30:50]  # the untrained network is flat: a hole goes on as its rim does
    assert float((inside / 2.0 - 1).abs().max()) < 0.12
    assert not torch.equal(scene.distance_vox, predictor(PHOTO, CAMERA).distance_vox)


class HintedEcho(Echo):
    """Says what it was told."""

    def hinted_scenes(
        self, images: torch.Tensor, cameras: Sequence[Camera], hints: Sequence[SceneHint | None]
    ) -> list[PanopticScene]:
        told = {"depth": {"kind": "metric"}}
        return [
            replace(s, provenance=told if h else {}) for s, h in zip(self.scenes(images, cameras), hints, strict=True)
        ]


def test_through_the_command_line(
    checkpoint: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr("panoptic3d.predictor.predictor.open_network", lambda *_: HintedEcho())
    monkeypatch.chdir(tmp_path)
    picture(80, 60).save("rgb_1.png")
    Path("depth_1.exr").write_bytes(exr_bytes(_wall()))
    call = ["predict", "rgb_1.png", "--out", "out", "--checkpoint", str(checkpoint), "--device", "cpu"]
    assert main([*call, "--depth", "depth_1.exr"]) == 0
    facts = json.loads(Path("out/rgb_1/scene.json").read_text())
    assert facts["provenance"]["depth"]["source"] == "depth_1.exr"
    assert facts["provenance"]["depth"]["size"] == [80, 60]
    assert main([*call, "--depth", "."]) == 0  # the same file, found by name: there already
    assert "was there already" in capsys.readouterr().out
    Path("depth_1.exr").write_bytes(exr_bytes(1.5 * _wall()))
    assert main([*call, "--depth", "depth_1.exr"]) == 2
    assert "another depth" in capsys.readouterr().err
    assert main(call) == 2
    assert "other options" in capsys.readouterr().err


def test_what_the_command_line_says_of_a_depth_reaches_the_scene(
    checkpoint: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Along the ray, of unknown scale, in decimetres: what the network is handed lies along the axis, in metres."""
    handed = list[SceneHint | None]()

    class Listening(HintedEcho):
        def hinted_scenes(
            self, images: torch.Tensor, cameras: Sequence[Camera], hints: Sequence[SceneHint | None]
        ) -> list[PanopticScene]:
            handed.extend(hints)
            return super().hinted_scenes(images, cameras, hints)

    monkeypatch.setattr("panoptic3d.predictor.predictor.open_network", lambda *_: Listening())
    picture(80, 60).save(tmp_path / "rgb_1.png")
    np.save(tmp_path / "depth.npy", np.full((60, 80), 25.0, dtype=np.float32))
    call = ["predict", str(tmp_path / "rgb_1.png"), "--out", str(tmp_path / "out"), "--checkpoint", str(checkpoint)]
    asked = ["--depth", str(tmp_path / "depth.npy"), "--depth-unit", "0.1", "--fov-deg", "90", "--device", "cpu"]
    assert main([*call, *asked, "--depth-along", "ray", "--depth-kind", "scale"]) == 0
    assert main([*call, *asked, "--overwrite"]) == 0
    ray, axis = (hint.depth for hint in handed if hint is not None)
    assert ray is not None
    assert axis is not None
    assert (ray.kind, axis.kind) == ("scale", "metric")
    assert float(axis.values.min()) == float(axis.values.max()) == pytest.approx(2.5)
    assert float(ray.values.max()) == pytest.approx(2.5, rel=1e-3), "the ray through the centre is the axis"
    corner = 2.5 / np.sqrt(1 + 1 + (60 / 80) ** 2)  # 90 degrees wide: the last column lies at 45
    assert float(ray.values[0, 0]) == pytest.approx(corner, rel=0.02)
    facts = json.loads((tmp_path / "out" / "rgb_1" / "scene.json").read_text())["provenance"]["depth"]
    assert facts["source"] == "depth.npy"
