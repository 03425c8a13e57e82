"""Maps between pictures agree with their cameras, and compose."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from panoptic3d.structures.camera import Camera
from panoptic3d.structures.pixel_map import DepthMap, PixelMap

CAMERA = Camera(300.0, 280.0, 210.0, 150.0, 400, 300)
_SIZES = st.tuples(st.integers(1, 500), st.integers(1, 500))


@given(size=_SIZES, other=_SIZES, last=_SIZES)
def test_resizing_twice_is_resizing_once(size: tuple[int, int], other: tuple[int, int], last: tuple[int, int]) -> None:
    twice = PixelMap.resized(size, other).then(PixelMap.resized(other, last))
    once = PixelMap.resized(size, last)
    assert twice.scale == pytest.approx(once.scale)
    assert twice.shift == pytest.approx(once.shift)


@given(size=_SIZES)
def test_a_resize_is_what_its_cameras_say(size: tuple[int, int]) -> None:
    by_size = PixelMap.resized((CAMERA.width, CAMERA.height), size)
    by_camera = PixelMap.between(CAMERA, CAMERA.resized(*size))
    assert by_size.scale == pytest.approx(by_camera.scale)
    assert by_size.shift == pytest.approx(by_camera.shift, abs=1e-9)


def test_a_window_is_read_back_where_it_lay() -> None:
    window = CAMERA.cropped(20, 10, 100, 50)
    values = torch.arange(5000).view(50, 100)
    back = PixelMap.between(CAMERA, window).read(values, 400, 300, -1)
    assert torch.equal(back[10:60, 20:120], values)
    assert int((back == -1).sum()) == 400 * 300 - 5000


def test_depth_is_unknown_where_the_map_does_not_reach() -> None:
    half = DepthMap(torch.full((30, 40), 2.5), PixelMap.resized((80, 60), (40, 30)))
    assert torch.equal(half.at_photo(80, 60), torch.full((60, 80), 2.5))
    larger = half.seen_from(PixelMap((1.0, 1.0), (-10.0, 0.0)))  # the photo begins ten pixels left of what was seen
    seen = larger.at_photo(90, 60)
    assert bool(seen[:, :10].isnan().all())
    assert bool((seen[:, 10:] == 2.5).all())
