"""Any photo that a user may hand in, as upright sRGB, or one sentence about what is wrong with it."""

import hashlib
import io
import os
import stat
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from panoptic3d.data.arrays import array_of
from panoptic3d.data.pictures import check_png, hush_libtiff
from panoptic3d.errors import BadFileError, InputError, reading
from panoptic3d.optional import require

MIN_SIDE_PX, MAX_PIXELS, MAX_ASPECT = 32, 100_000_000, 10.0
WORKING_SIDE_PX = 1280  # larger photos are shrunk to this at once; networks see 320 pixels of it
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_PAPER = (255, 255, 255)  # behind what is transparent
FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "TIFF",
    "GIF",
    "BMP",
    "PPM",
)  # all that docs/scenes-on-disk.md lists, and no other decoder
MAX_BYTES = 500_000_000  # enough for 100 megapixels of 16-bit RGB


@dataclass(frozen=True, eq=False)
class Photo:
    image: UInt8[Tensor, "3 h w"]  # sRGB, upright
    full_size: tuple[int, int]  # (width, height) upright, before it was shrunk
    exif: dict[int, object] = field(default_factory=dict)  # the camera's tags, by number
    notes: tuple[str, ...] = ()  # what was decided about an unusual file
    file: str | None = None  # its name without the folders
    num_bytes: int | None = None
    sha256: str | None = None  # of the file


def load_photo(path: str | os.PathLike[str]) -> Photo:
    """The content decides what a file is, not its ending. Of an animation the first picture counts."""
    path = Path(path)
    return replace(photo_from_bytes(_read(path), path), file=path.name)


def photo_from_bytes(data: bytes, path: Path = Path("the picture")) -> Photo:
    """A file that is in memory already, such as an upload; `path` stands for it in messages."""
    if not data:
        raise _bad(path, "is empty; it may not have been copied to its end", "empty")
    if len(data) > MAX_BYTES:
        raise _bad(path, f"has {len(data):,} bytes; at most {MAX_BYTES:,} are read, save it smaller", "too_large")
    formats: tuple[str, ...] = FORMATS
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        require("pillow_heif", f"{path} is HEIC: reading it").register_heif_opener()
        formats = ("HEIF",)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings about odd files; the checks below cover what matters
        try:
            with reading(path, "a sound picture"):
                return _decoded(path, data, formats)
        except BadFileError as error:
            raise _explained(path, error) from error.__cause__


def _decoded(path: Path, data: bytes, formats: tuple[str, ...]) -> Photo:
    with Image.open(io.BytesIO(data), formats=formats) as opened:
        _check_size(path, opened.size)
        if opened.format == "TIFF":
            hush_libtiff()
        if opened.format == "PNG":
            check_png(data, is_strict=False)
        sha256 = hashlib.sha256(data).hexdigest()
        return replace(_upright(path, opened), num_bytes=len(data), sha256=sha256)


def _explained(path: Path, error: BadFileError) -> BadFileError:
    """What a person can do about a photo is not what can be done about a file of a data set."""
    cause = error.__cause__
    if cause is None:
        return error
    if isinstance(cause, UnidentifiedImageError):
        return _bad(path, "is no picture that can be read (JPEG, PNG, WebP, TIFF, ...); convert it", "not_picture")
    if isinstance(cause, Image.DecompressionBombError | MemoryError):
        return _bad(path, f"unpacks to more than {MAX_PIXELS:,} pixels; shrink it first", "too_large")
    return _bad(path, f"is damaged ({cause}); save it again", "corrupt")


def _bad(path: Path, what: str, reason: str) -> BadFileError:
    return BadFileError(f"{path} {what}.", path=str(path), reason=reason)


def photo_from_array(image: np.ndarray | Tensor | Image.Image) -> Photo:
    """An upright sRGB picture in memory: a Pillow image, or numbers of shape (h, w), (h, w, channels) or (channels, h, w),
    as uint8 or as floats from 0 to 1.
    """
    place = Path("the picture")
    if isinstance(image, Image.Image):
        with reading(place, "a sound picture in memory", advice="open it again, or give its path"):
            _check_size(place, image.size)
            return _upright(place, image)
    array = _channels_last(array_of(image, "a picture") if isinstance(image, Tensor) else np.asarray(image))
    if array.dtype != np.uint8:
        array = _bytes_of_floats(array)
    return photo_from_array(Image.fromarray(np.ascontiguousarray(array)))


def _channels_last(array: np.ndarray) -> np.ndarray:
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    is_picture = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not is_picture or not (array.dtype == np.uint8 or np.issubdtype(array.dtype, np.floating)):
        found = f"{array.dtype} {tuple(array.shape)}"
        raise InputError(
            "a picture in memory is uint8, or floats from 0 to 1, of shape (height, width, 3) or (3, height, width), "
            f"this is {found}; convert it, and give several pictures as a list."
        )
    return array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _bytes_of_floats(array: np.ndarray) -> UInt8[np.ndarray, "..."]:
    low, high = (float(f(array)) for f in (np.min, np.max)) if array.size else (0.0, 0.0)
    if not (low >= 0 and high <= 1):  # which is so for NaN, too
        raise InputError(f"a picture of floats has values from 0 to 1, this one from {low:g} to {high:g}; scale it.")
    return np.round(array.astype(np.float64) * 255).astype(np.uint8)


def _read(path: Path) -> bytes:
    """A pipe is not waited for, and no more is read than a photo may have."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _bad(path, "is no ordinary file; copy the photo to one", "unreadable")
            if status.st_size > MAX_BYTES:
                size = f"has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read"
                raise _bad(path, f"{size}, save it smaller", "too_large")
            data = file.read(MAX_BYTES)
    except IsADirectoryError:
        raise _bad(path, "is a folder where a photo was expected; name the photos in it", "unreadable") from None
    except OSError as error:
        raise _bad(
            path, f"cannot be read ({error.strerror}); check the name and its permissions", "unreadable"
        ) from error
    except ValueError as error:
        raise _bad(path, f"is no name of a file ({error}); check it", "unreadable") from error
    return data


def _check_size(path: Path, size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise _bad(path, f"has {width}x{height} pixels; at most {MAX_PIXELS:,} are read, shrink it first", "too_large")
    if min(size) < MIN_SIDE_PX:
        what = f"is {width}x{height}; a photo needs at least {MIN_SIDE_PX} pixels on each side"
        raise _bad(path, what, "wrong_shape")
    if max(size) > MAX_ASPECT * min(size):
        what = f"is {width}x{height}, more than {MAX_ASPECT:.0f} to 1; cut a piece of it out"
        raise _bad(path, what, "wrong_shape")


def _upright(path: Path, opened: Image.Image) -> Photo:
    notes = []
    if (num_frames := getattr(opened, "n_frames", 1)) > 1:
        notes.append(f"the first of {num_frames} pictures")
    opened.load()
    image, tags = _turned(opened, notes)
    full_size = image.size
    image = _to_srgb(path, image, notes)
    image.thumbnail((WORKING_SIDE_PX, WORKING_SIDE_PX), Image.Resampling.BOX, reducing_gap=2.0)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    return Photo(pixels, full_size, tags, tuple(notes))


def _turned(opened: Image.Image, notes: list[str]) -> tuple[Image.Image, dict[int, object]]:
    """The image rotated as EXIF says, and the EXIF tags. A broken EXIF block does not invalidate the pixels."""
    try:
        with reading("EXIF"):
            exif = opened.getexif()
            tags = dict(exif) | dict(exif.get_ifd(0x8769))
            return ImageOps.exif_transpose(opened), tags
    except BadFileError as error:
        notes.append(f"its EXIF block could not be read ({error.__cause__})")
        return opened.copy(), {}


def _to_srgb(path: Path, image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        return _from_numbers(path, image)
    has_alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    alpha = image.convert("RGBA").getchannel("A") if has_alpha else None
    profile = image.info.get("icc_profile")
    if image.mode in ("P", "PA", "1", "LA", "La", "RGBA", "RGBa"):
        image = image.convert("RGB")
    if profile:
        image = _through_profile(image, profile, notes)
    image = image.convert("RGB")
    if alpha is None:
        return image
    paper = Image.new("RGB", image.size, _PAPER)
    paper.paste(image, mask=alpha)
    return paper


def _through_profile(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        changed = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        notes.append(f"its colour profile could not be used ({error}) and sRGB was assumed")
        return image
    return image if changed is None else changed


def _from_numbers(path: Path, image: Image.Image) -> Image.Image:
    """Grey in 16 bits, or in floats from 0 to 1 (or to 255)."""
    values = np.array(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise _bad(path, "holds values that are no finite numbers; mend or convert it", "corrupt")
    low, high = float(values.min()), float(values.max())
    if image.mode == "F":
        limit = 1.0 if high <= 1 else 255.0
    else:
        limit = 65535.0
    if low < 0 or high > limit:
        what = f"holds values from {low:g} to {high:g}, which is no range of grey; convert it to 8 bits"
        raise _bad(path, what, "corrupt")
    return Image.fromarray(np.round(values * (255 / limit)).astype(np.uint8)).convert("RGB")
