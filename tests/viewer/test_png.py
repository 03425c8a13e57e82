"""What Pillow reads is the picture that was written."""

import io

import numpy as np
import pytest
from PIL import Image

from panoptic3d.viewer.png import png_bytes


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 7, 3), (5, 1, 3), (37, 53, 3)])
def test_a_picture_comes_back(shape: tuple[int, int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    image = Image.open(io.BytesIO(png_bytes(picture)))
    assert (image.format, image.mode) == ("PNG", "RGB")
    np.testing.assert_array_equal(np.asarray(image), picture)


def test_a_part_of_a_larger_picture_comes_back() -> None:
    whole = np.random.default_rng(0).integers(0, 256, (20, 30, 4)).astype(np.uint8)
    part = whole[::2, 3:20, :3]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png_bytes(part)))), part)
