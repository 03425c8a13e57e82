"""The pinhole camera of a photo, and where it comes from: given, then EXIF, then a stated assumption."""

import math
from dataclasses import dataclass

from panoptic3d.errors import InputError
from panoptic3d.predictor.photos import Photo
from panoptic3d.structures.camera import Camera

FALLBACK_FOV_DEG = 60.0  # across the longer side: the cameras of 3D-Front
_FOCAL_LENGTH, _FOCAL_35MM = 0x920A, 0xA405
_PLANE_X_RESOLUTION, _PLANE_UNIT = 0xA20E, 0xA210
_PIXEL_DIMENSIONS = (0xA002, 0xA003)  # x, y
_MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
_DIAGONAL_OF_35MM = math.hypot(36.0, 24.0)
_SANE_FOV_DEG = (5.0, 150.0)  # of EXIF, which is often wrong
_FARTHEST_CENTRE = 0.12  # of a side: a principal point so far from the middle is that of another size
_POSSIBLE_FOV_DEG = (1.0, 175.0)  # limits for a user's value


@dataclass(frozen=True)
class GivenCamera:
    """The user's camera: nothing, or one of these. Impossible values are refused before any photo is read."""

    camera: Camera | None = None  # of the photo at its own or any other size
    intrinsics: tuple[float, float, float, float] | None = None  # fx, fy, cx, cy in pixels of the stored photo, upright
    fov_deg: float | int | None = None  # horizontal
    source: str | None = None  # where it was read, for scene.json; None if the call gave it

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.camera, self.intrinsics, self.fov_deg)) > 1:
            raise InputError("intrinsics and a field of view were both given; give one of them.")
        if self.intrinsics is not None:
            Camera(*self.intrinsics, 1, 1)
        if self.fov_deg is not None:
            Camera.from_fov(self.fov_deg, 1, 1)


@dataclass(frozen=True)
class CameraChoice:
    camera: Camera  # of `Photo.image`
    source: str  # for scene.json and the page


def choose_camera(photo: Photo, given: GivenCamera = GivenCamera()) -> CameraChoice:
    choice = _chosen(photo, given)
    check_plausible(choice.camera)
    return choice


def check_plausible(camera: Camera) -> None:
    """Refuse an impossible camera: its scene would be empty, without any explanation."""
    across = (2 * math.degrees(math.atan(n / 2 / f)) for n, f in zip(_size(camera), _focal(camera), strict=True))
    if not all(_POSSIBLE_FOV_DEG[0] <= fov <= _POSSIBLE_FOV_DEG[1] for fov in across):
        low, high = _POSSIBLE_FOV_DEG
        raise InputError(
            f"focal lengths of {camera.fx_px:g} and {camera.fy_px:g} pixels on an image of {camera.width}x{camera.height} "
            f"are no photo's (a field of view from {low:g} to {high:g} degrees); check the camera."
        )
    if any(abs(c - n / 2) > 2 * n for c, n in zip((camera.cx_px, camera.cy_px), _size(camera), strict=True)):
        raise InputError(
            f"a principal point at ({camera.cx_px:g}, {camera.cy_px:g}) is far outside of an image of "
            f"{camera.width}x{camera.height} pixels; check the camera."
        )


def _check_centre(camera: Camera) -> None:
    """Four numbers do not say for which size they are: those of a smaller or larger copy are refused."""
    centre = (camera.cx_px, camera.cy_px)
    if any(abs(c - (n - 1) / 2) > _FARTHEST_CENTRE * n for c, n in zip(centre, _size(camera), strict=True)):
        raise InputError(
            f"the intrinsics have their principal point at ({camera.cx_px:g}, {camera.cy_px:g}), not near the middle "
            f"of a photo of {camera.width}x{camera.height}; give those of this size, or --cameras with a size."
        )


def _size(camera: Camera) -> tuple[int, int]:
    return camera.width, camera.height


def _focal(camera: Camera) -> tuple[float, float]:
    return camera.fx_px, camera.fy_px


def _chosen(photo: Photo, given: GivenCamera) -> CameraChoice:
    height, width = photo.image.shape[1:]
    full_width, full_height = photo.full_size
    if given.camera is not None:
        return CameraChoice(_resized(given.camera, photo), given.source or "given camera")
    if given.intrinsics is not None:
        camera = Camera(*given.intrinsics, full_width, full_height)
        _check_centre(camera)
        return CameraChoice(camera.resized(width, height), "given intrinsics")
    if given.fov_deg is not None:
        return CameraChoice(Camera.from_fov(given.fov_deg, width, height), given.source or "given field of view")
    for focal_px, source in (_from_35mm(photo), _from_focal_plane(photo)):
        if focal_px is not None and _is_sane(focal_px, max(photo.full_size)):
            camera = Camera(focal_px, focal_px, (full_width - 1) / 2, (full_height - 1) / 2, full_width, full_height)
            return CameraChoice(camera.resized(width, height), source)
    focal_px = max(width, height) / 2 / math.tan(math.radians(FALLBACK_FOV_DEG) / 2)
    camera = Camera(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, width, height)
    return CameraChoice(camera, f"assumed: {FALLBACK_FOV_DEG:.0f} degrees across the longer side")


def _resized(camera: Camera, photo: Photo) -> Camera:
    """To the pixels in memory, from a size of the same shape up to a pixel's rounding."""
    height, width = photo.image.shape[1:]
    if abs(camera.width / width - camera.height / height) * min(width, height) > 1:
        seen = f"{camera.width}x{camera.height} for a photo of {'x'.join(map(str, photo.full_size))}"
        raise InputError(f"the given camera is one of {seen}; give the camera of this photo, upright.")
    return camera.resized(width, height)


def parse_intrinsics(text: str, option: str = "--intrinsics") -> tuple[float, float, float, float]:
    try:
        fx, fy, cx, cy = (float(word) for word in text.split(","))
    except ValueError:
        raise InputError(f"{option} is {text!r}; give four numbers FX,FY,CX,CY in pixels.") from None
    return fx, fy, cx, cy


def _from_35mm(photo: Photo) -> tuple[float | None, str]:
    """The equivalent focal length is defined by the diagonal (CIPA DCG-001)."""
    focal_mm = _number(photo, _FOCAL_35MM)
    source = "EXIF focal length, 35 mm equivalent"
    return (None if focal_mm is None else focal_mm / _DIAGONAL_OF_35MM * math.hypot(*photo.full_size)), source


def _from_focal_plane(photo: Photo) -> tuple[float | None, str]:
    focal_mm, per_unit = _number(photo, _FOCAL_LENGTH), _number(photo, _PLANE_X_RESOLUTION)
    unit_mm = _MM_PER_UNIT.get(int(_number(photo, _PLANE_UNIT) or 2))
    source = "EXIF focal length and sensor resolution"
    if focal_mm is None or per_unit is None or unit_mm is None:
        return None, source
    taken_px = max(_number(photo, tag) or 0.0 for tag in _PIXEL_DIMENSIONS)  # the longer side, however it was held
    shrunk = max(photo.full_size) / taken_px if taken_px > 0 else 1.0
    return focal_mm * per_unit / unit_mm * shrunk, source


def _number(photo: Photo, tag: int) -> float | None:
    """A positive number, or None: EXIF is full of zeros, text and divisions by zero."""
    try:
        value = float(photo.exif[tag])  # pyright: ignore[reportArgumentType]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) and value > 0 else None


def _is_sane(focal_px: float, side_px: int) -> bool:
    low, high = _SANE_FOV_DEG
    return low <= math.degrees(2 * math.atan(side_px / 2 / focal_px)) <= high
