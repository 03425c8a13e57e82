import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from panoptic3d.errors import InputError
from panoptic3d.predictor.cameras import GivenCamera, choose_camera
from panoptic3d.predictor.canonical import seen_by
from panoptic3d.predictor.photos import Photo, load_photo
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from tests.predictor.hostile import exif, picture


def _photo(tmp_path: Path, tags: dict[int, object], size: tuple[int, int] = (300, 200), orientation: int = 1) -> Photo:
    path = tmp_path / "a.jpg"
    Image.new("RGB", size).save(path, exif=exif(orientation, tags))
    return load_photo(path)


def test_given_before_exif_before_the_stated_fallback(tmp_path: Path) -> None:
    photo = _photo(tmp_path, {0xA405: 26})
    assert choose_camera(photo, GivenCamera(intrinsics=(200.0, 210.0, 150.0, 100.0))).source == "given intrinsics"
    assert choose_camera(photo, GivenCamera(fov_deg=70.0)).camera == Camera.from_fov(70.0, 300, 200)
    by_exif = choose_camera(photo)
    assert by_exif.source == "EXIF focal length, 35 mm equivalent"
    assert by_exif.camera.fx_px == pytest.approx(26 / math.hypot(36, 24) * math.hypot(300, 200))
    assumed = choose_camera(_photo(tmp_path, {}))
    assert "assumed: 60 degrees" in assumed.source
    assert assumed.camera.horizontal_fov_deg == pytest.approx(60)
    with pytest.raises(InputError, match="both"):
        GivenCamera(intrinsics=(1.0, 1.0, 1.0, 1.0), fov_deg=60.0)


def test_a_full_frame_camera_sees_what_its_lens_says(tmp_path: Path) -> None:
    """36 mm wide, 24 mm lens; EXIF counts 6000 pixels at 6000 / 36 pixels a mm, the file was shrunk to 300."""
    tags = {0x920A: 24.0, 0xA20E: 6000 / 3.6, 0xA210: 3, 0xA002: 6000}
    choice = choose_camera(_photo(tmp_path, tags))
    assert choice.source == "EXIF focal length and sensor resolution"
    assert choice.camera.horizontal_fov_deg == pytest.approx(2 * math.degrees(math.atan(18 / 24)), rel=1e-3)


def test_a_photo_may_be_stored_upright() -> None:
    """The same camera held upright, by a device that turns the pixels and not the tag."""
    tags: dict[int, object] = {0x920A: 24.0, 0xA20E: 6000 / 3.6, 0xA210: 3, 0xA002: 4000, 0xA003: 6000}
    choice = choose_camera(Photo(torch.zeros(3, 300, 200, dtype=torch.uint8), (200, 300), tags))
    assert choice.camera.horizontal_fov_deg == pytest.approx(2 * math.degrees(math.atan(12 / 24)), rel=1e-3)


@pytest.mark.parametrize("tags", [{0xA405: 0}, {0xA405: 60000}, {0x920A: 0.0, 0xA20E: 0.0}, {0x920A: 24.0}])
def test_nonsense_in_exif_falls_through_to_the_fallback(tags: dict[int, object], tmp_path: Path) -> None:
    assert choose_camera(_photo(tmp_path, tags)).source.startswith("assumed")


def test_a_portrait_assumes_the_same_lens_upright(tmp_path: Path) -> None:
    landscape, portrait = choose_camera(_photo(tmp_path, {})), choose_camera(_photo(tmp_path, {}, orientation=6))
    assert (portrait.camera.width, portrait.camera.height) == (200, 300)
    assert portrait.camera.fx_px == pytest.approx(landscape.camera.fx_px)


def test_given_intrinsics_count_in_pixels_of_the_file(tmp_path: Path) -> None:
    photo = _photo(tmp_path, {}, size=(2560, 1920))
    assert photo.image.shape == (3, 960, 1280)
    camera = choose_camera(photo, GivenCamera(intrinsics=(2000.0, 2000.0, 1279.5, 959.5))).camera
    assert (camera.fx_px, camera.cx_px, camera.cy_px) == (1000, 639.5, 479.5)


@given(width=st.integers(40, 300), height=st.integers(40, 300), focal=st.floats(40, 400))
def test_the_letterbox_keeps_rays_and_shape(width: int, height: int, focal: float) -> None:
    camera = Camera(focal, focal * 1.1, width * 0.45, height * 0.55, width, height)
    box = camera.letterboxed(320, 240)
    assert box.fx_px / camera.fx_px == pytest.approx(box.fy_px / camera.fy_px)  # no distortion
    for u, v in ((-0.5, -0.5), (width - 0.5, height - 0.5)):  # the same ray through the corner, inside of the view
        x, y = (u - camera.cx_px) / camera.fx_px, (v - camera.cy_px) / camera.fy_px
        at = x * box.fx_px + box.cx_px, y * box.fy_px + box.cy_px
        assert -0.5 - 1e-9 <= at[0] <= 319.5 + 1e-9
        assert -0.5 - 1e-9 <= at[1] <= 239.5 + 1e-9


def test_a_view_of_its_own_camera_is_the_photo_itself() -> None:
    image = torch.randint(0, 256, (3, 240, 320), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    view = seen_by(image, FRONT3D_CAMERA, FRONT3D_CAMERA)
    assert torch.equal(view.image, image)
    assert view.is_photo.all()


def test_a_smooth_photo_is_where_the_camera_says_and_comes_back() -> None:
    camera = Camera(300.0, 300.0, 210.0, 150.0, 400, 300)
    v, u = torch.meshgrid(torch.arange(300.0), torch.arange(400.0), indexing="ij")
    image = torch.stack((u / 2, v / 2, 0 * u + 90)).round().to(torch.uint8)
    view = seen_by(image, camera, FRONT3D_CAMERA)
    column = torch.arange(320.0)
    wanted = ((column - 159.5) / FRONT3D_CAMERA.fx_px * 300 + 210) / 2
    torch.testing.assert_close(
        view.image[0, 120].float()[view.is_photo[120]], wanted[view.is_photo[120]], atol=1.0, rtol=0
    )
    back = view.from_photo.read(view.image[0], 400, 300, 0)
    inside = view.from_photo.read(torch.ones(240, 320), 400, 300, 0.0) > 0
    assert inside.float().mean() > 0.6
    assert (back.float() - image[0].float()).abs()[inside].max() <= 2


def test_beyond_the_photo_stands_its_mean_colour() -> None:
    image = torch.from_numpy(np.array(picture(200, 60))).permute(2, 0, 1).contiguous()
    camera = Camera.from_fov(60.0, 200, 60)
    view = seen_by(image, camera, camera.letterboxed(320, 240))
    assert not view.is_photo[:40].any()
    assert view.is_photo[100:140].all()
    assert view.image[:, 0, 0].tolist() == image.double().mean((1, 2)).round().to(torch.uint8).tolist()
