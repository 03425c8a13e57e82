"""The pinhole camera that stays right when its image is resized, cropped, padded or flipped."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.given import are_finite_numbers, is_finite_number, is_whole_number


@dataclass(frozen=True)
class Camera:
    """x right, y down, z forward. Pixel centres lie at integers: the centre of the top-left pixel is (0, 0).

    Examples:
        >>> camera = Camera.from_fov(60, width=640, height=480)
        >>> round(camera.fx_px, 1), camera.cx_px
        (554.3, 319.5)
        >>> camera.resized(320, 240).cx_px
        159.5
    """

    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    width: int
    height: int

    def __post_init__(self) -> None:
        numbers = (self.fx_px, self.fy_px, self.cx_px, self.cy_px)
        if not are_finite_numbers(numbers, 4) or self.fx_px <= 0 or self.fy_px <= 0:
            raise InputError(f"a camera needs finite numbers and positive focal lengths, got fx,fy,cx,cy = {numbers}.")
        if not (is_whole_number(self.width, 1) and is_whole_number(self.height, 1)):
            raise InputError(f"a camera needs an image of at least 1x1 whole pixels, got {self.width}x{self.height}.")

    @classmethod
    def from_fov(cls, horizontal_fov_deg: float | int, width: int, height: int) -> "Camera":
        """Square pixels, the axis through the middle of the image."""
        if not is_finite_number(horizontal_fov_deg) or not 0 < horizontal_fov_deg < 180:
            raise InputError(f"a field of view lies between 0 and 180 degrees, got {horizontal_fov_deg!r}.")
        if not (is_whole_number(width, 1) and is_whole_number(height, 1)):
            raise InputError(f"a camera needs an image of at least 1x1 whole pixels, got {width}x{height}.")
        focal_px = width / 2 / math.tan(math.radians(horizontal_fov_deg) / 2)
        return cls(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, width, height)

    def mirrored(self) -> "Camera":
        """That of the mirror image, left and right exchanged."""
        return replace(self, cx_px=self.width - 1 - self.cx_px)

    @property
    def horizontal_fov_deg(self) -> float:
        """Between the outer borders of the first and the last column."""
        left, right = (-0.5 - self.cx_px) / self.fx_px, (self.width - 0.5 - self.cx_px) / self.fx_px
        return math.degrees(math.atan(right) - math.atan(left))

    @property
    def intrinsics(self) -> Float[Tensor, "3 3"]:
        """float64; cast it where it is used."""
        return torch.tensor(
            [[self.fx_px, 0.0, self.cx_px], [0.0, self.fy_px, self.cy_px], [0.0, 0.0, 1.0]], dtype=torch.float64
        )

    def resized(self, width: int, height: int) -> "Camera":
        """The camera of the same picture resampled to another size (pixel areas, not pixel centres, fill the frame)."""
        sx, sy = width / self.width, height / self.height
        return Camera(
            fx_px=self.fx_px * sx,
            fy_px=self.fy_px * sy,
            cx_px=(self.cx_px + 0.5) * sx - 0.5,
            cy_px=(self.cy_px + 0.5) * sy - 0.5,
            width=width,
            height=height,
        )

    def letterboxed(self, width: int, height: int) -> "Camera":
        """The camera of a view of the given size that holds the whole picture in its middle, in equal scale on both axes."""
        scale = min(width / self.width, height / self.height)
        left, top = (width - self.width * scale) / 2, (height - self.height * scale) / 2
        return Camera(
            self.fx_px * scale,
            self.fy_px * scale,
            (self.cx_px + 0.5) * scale - 0.5 + left,
            (self.cy_px + 0.5) * scale - 0.5 + top,
            width,
            height,
        )

    def cropped(self, left: int, top: int, width: int, height: int) -> "Camera":
        """The camera of a window of the picture; a window that reaches outside is a padding."""
        return replace(self, cx_px=self.cx_px - left, cy_px=self.cy_px - top, width=width, height=height)

    def flipped(self) -> "Camera":
        """The camera of the picture mirrored left to right."""
        return replace(self, cx_px=self.width - 1 - self.cx_px)


# The released 3D-Front renders. campose_NNNN.npz says fy = 311.769, which is wrong: docs/conventions.md.
FRONT3D_CAMERA = Camera(277.1281435, 277.1281435, 159.5, 119.5, width=320, height=240)
