"""Map pixels of an image to those of a resized, cropped, or padded copy."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from panoptic3d.structures.camera import Camera


@dataclass(frozen=True)
class PixelMap:
    """`there = scale * here + shift`, axis by axis (x, y), between pixel centres at integers."""

    scale: tuple[float, float]
    shift: tuple[float, float]

    @classmethod
    def between(cls, camera: Camera, other: Camera) -> "PixelMap":
        """Two cameras in one place that look the same way: the pixel of `other` that meets the ray of one of `camera`."""
        sx, sy = other.fx_px / camera.fx_px, other.fy_px / camera.fy_px
        return cls((sx, sy), (other.cx_px - camera.cx_px * sx, other.cy_px - camera.cy_px * sy))

    @classmethod
    def resized(cls, size: tuple[int, int], other: tuple[int, int]) -> "PixelMap":
        """The map between two sizes (width, height) of one image. Pixels are areas, and both grids cover the same frame."""
        sx, sy = other[0] / size[0], other[1] / size[1]
        return cls((sx, sy), ((sx - 1) / 2, (sy - 1) / 2))

    def then(self, after: "PixelMap") -> "PixelMap":
        (ax, ay), (bx, by) = after.scale, after.shift
        return PixelMap((self.scale[0] * ax, self.scale[1] * ay), (self.shift[0] * ax + bx, self.shift[1] * ay + by))

    def at(self, pixel: tuple[float, float]) -> tuple[float, float]:
        """Where a pixel (x, y) lies there."""
        return pixel[0] * self.scale[0] + self.shift[0], pixel[1] * self.scale[1] + self.shift[1]

    def inverse(self) -> "PixelMap":
        (sx, sy), (tx, ty) = self.scale, self.shift
        return PixelMap((1 / sx, 1 / sy), (-tx / sx, -ty / sy))

    def read(
        self, values: Shaped[Tensor, "h w"], width: int, height: int, outside: float | int
    ) -> Shaped[Tensor, "{height} {width}"]:
        """For every pixel here the value of the nearest pixel there; `outside` where the other picture does not reach."""
        columns, has_column = _nearest(self.scale[0], self.shift[0], width, values.shape[1])
        rows, has_row = _nearest(self.scale[1], self.shift[1], height, values.shape[0])
        picked = values[rows.to(values.device)][:, columns.to(values.device)]
        return torch.where((has_row[:, None] & has_column).to(values.device), picked, outside)


@dataclass(frozen=True, eq=False)
class DepthMap:
    """Metres along the optical axis at the resolution of a network, and where the pixels of the photo lie in it."""

    depth_m: Float[Tensor, "h w"]
    from_photo: PixelMap
    log_spread: Float[Tensor, "h w"] | None = None  # of the log depth: the scale of a Laplace distribution

    def seen_from(self, before: PixelMap) -> "DepthMap":
        """The same map for the photo of which `from_photo` was told a window or another size."""
        return DepthMap(self.depth_m, before.then(self.from_photo), self.log_spread)

    def at_photo(self, width: int, height: int) -> Float[Tensor, "{height} {width}"]:
        """At the pixels of the photo, by the nearest pixel of the map; NaN where the map does not reach."""
        return self.from_photo.read(self.depth_m, width, height, float("nan"))


def _nearest(scale: float, shift: float, size: int, limit: int) -> tuple[Tensor, Tensor]:
    at = (torch.arange(size, dtype=torch.float64) * scale + shift + 0.5).floor().long()
    return at.clamp(0, limit - 1), (at >= 0) & (at < limit)
