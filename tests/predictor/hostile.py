"""Files that users hand in. `GOOD` ends in a picture, `BAD` in one sentence that holds the given words."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

Maker = Callable[[Path], Path]


def picture(width: int = 80, height: int = 60) -> Image.Image:
    """Red top left, green top right, blue bottom left, white bottom right."""
    array = np.full((height, width, 3), 255, np.uint8)
    array[: height // 2, : width // 2] = (220, 20, 20)
    array[: height // 2, width // 2 :] = (20, 200, 20)
    array[height // 2 :, : width // 2] = (20, 20, 220)
    return Image.fromarray(array)


def _saved(name: str, image: Image.Image | None = None, **options: object) -> Maker:
    def make(folder: Path) -> Path:
        (image or picture()).save(folder / name, **options)  # pyright: ignore[reportArgumentType]
        return folder / name

    return make


def _written(name: str, data: bytes | Callable[[], bytes]) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data if isinstance(data, bytes) else data())
        return folder / name

    return make


def _encoded(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or picture()).save(buffer, kind, **options)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def _bomb() -> bytes:
    """A PNG whose header promises 60000x60000 pixels; nothing of it needs to be there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def _grey16() -> Image.Image:
    return Image.fromarray(np.asarray(picture().convert("L")).astype(np.uint16) * 257)


def _floats(scale: float, bad: float | None = None) -> Image.Image:
    values = np.asarray(picture().convert("L")).astype(np.float32) * scale
    if bad is not None:
        values[5, 5] = bad
    return Image.fromarray(values)


def exif(orientation: int | None = None, tags: dict[int, object] | None = None) -> Image.Exif:
    made = Image.Exif()
    if orientation is not None:
        made[0x0112] = orientation
    for tag, value in (tags or {}).items():
        made.get_ifd(0x8769)[tag] = value
    return made


def _p3() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _linked(folder: Path, target: str) -> Path:
    (folder / "link.png").symlink_to(target)
    return folder / "link.png"


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.png")
    return folder / "pipe.png"


_FRAMES = [Image.new("RGB", (80, 60), color) for color in ("red", "green")]
_TRANSPARENT = picture().convert("RGBA")
_TRANSPARENT.putpixel((0, 0), (0, 0, 0, 0))

GOOD: dict[str, Maker] = {
    "jpeg": _saved("a.jpg", quality=95),
    "progressive jpeg": _saved("a.jpg", progressive=True, quality=95),
    "upper-case ending": _saved("A.JPG", quality=95),
    "png": _saved("a.png"),
    "webp": _saved("a.webp", lossless=True),
    "bmp": _saved("a.bmp"),
    "ppm": _saved("a.ppm"),
    "tiff": _saved("a.tif"),
    "tiff with lzw": _saved("a.tif", compression="tiff_lzw"),
    "gif": _saved("a.gif"),
    "palette": _saved("a.png", picture().convert("P", palette=Image.Palette.ADAPTIVE)),
    "palette with transparency": _saved(
        "a.png", picture().convert("P", palette=Image.Palette.ADAPTIVE), transparency=255
    ),
    "rgba": _saved("a.png", _TRANSPARENT),
    "cmyk": _saved("a.jpg", picture().convert("CMYK"), quality=95),
    "ycc tiff": _saved("a.tif", picture().convert("YCbCr")),
    "colour profile": _saved("a.png", icc_profile=_p3()),
    "broken colour profile": _saved("a.png", icc_profile=b"nothing of use" * 20),
    "wrong ending": _written("a.png", lambda: _encoded("JPEG", quality=95)),
    "no ending": _written("photo", lambda: _encoded("PNG")),
    "spaces and emoji": _saved("my room 🛋️ (1).png"),
    "quotes and newline": _saved("a'\"\n$b.png"),
    "leading dash": _saved("-a.png"),
    "several pages": _saved("a.tif", save_all=True, append_images=_FRAMES),
    "broken exif": _saved("a.jpg", exif=b"Exif\0\0" + b"\xff" * 40, quality=95),
    "bytes after the end": _written("a.png", lambda: _encoded("PNG") + b"trailing" * 50),
}
GREY: dict[str, Maker] = {
    "grey": _saved("a.png", picture().convert("L")),
    "grey with alpha": _saved("a.png", picture().convert("LA")),
    "16 bits": _saved("a.png", _grey16()),
    "16 bits tiff": _saved("a.tif", _grey16()),
    "floats to 1": _saved("a.tif", _floats(1 / 255)),
    "floats to 255": _saved("a.tif", _floats(1.0)),
}
FLAT: dict[str, Maker] = {
    "black and white": _saved("a.png", Image.new("1", (80, 60), 1)),
    "animated gif": _saved("a.gif", _FRAMES[0], save_all=True, append_images=_FRAMES),
    "animated webp": _saved("a.webp", _FRAMES[0], save_all=True, append_images=_FRAMES, lossless=True),
    "animated png": _saved("a.png", _FRAMES[0], save_all=True, append_images=_FRAMES),
    "smallest": _saved("a.png", Image.new("RGB", (32, 32), "red")),
    "widest": _saved("a.png", Image.new("RGB", (320, 32), "red")),
    "large": _saved("a.png", Image.new("RGB", (6000, 4000), "red"), compress_level=1),
}
BAD: dict[str, tuple[Maker, str]] = {
    "truncated jpeg": (_written("a.jpg", lambda: _encoded("JPEG", quality=95)[:900]), "damaged"),
    "truncated png": (_written("a.png", lambda: _encoded("PNG")[:120]), "damaged"),
    "truncated webp": (_written("a.webp", lambda: _encoded("WEBP", lossless=True)[:60]), "damaged|no picture"),
    "truncated gif": (_written("a.gif", lambda: _encoded("GIF")[:50]), "damaged|no picture"),
    "only a header": (_written("a.png", lambda: _encoded("PNG")[:8]), "damaged|no picture"),
    "flipped bytes": (_written("a.png", lambda: _encoded("PNG")[:60] + b"\0" * 30 + _encoded("PNG")[90:]), "damaged"),
    "zero bytes": (_written("a.jpg", b""), "empty"),
    "text": (_written("a.jpg", b"not a photo at all"), "no picture"),
    "zeros": (_written("a.jpg", bytes(5000)), "no picture"),
    "svg": (_written("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "no picture"),
    "pdf": (_written("a.pdf", b"%PDF-1.4\n%%EOF"), "no picture"),
    "heic": (_written("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)), "HEIC|damaged|no picture"),
    "video": (_written("a.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isomavc1" + bytes(100)), "no picture"),
    "zip": (_written("a.png", b"PK\x03\x04" + bytes(100)), "no picture"),
    "bomb": (_written("a.png", _bomb), "pixels"),
    "just over the limit": (_saved("a.png", Image.new("1", (10_001, 10_000)), compress_level=1), "pixels"),
    "1x1": (_saved("a.png", Image.new("RGB", (1, 1))), "at least 32"),
    "31 rows": (_saved("a.png", Image.new("RGB", (300, 31))), "at least 32"),
    "20000x50": (_saved("a.png", Image.new("RGB", (20_000, 50)), compress_level=1), "to 1"),
    "50x20000": (_saved("a.png", Image.new("RGB", (50, 20_000)), compress_level=1), "to 1"),
    "nan": (_saved("a.tif", _floats(1.0, float("nan"))), "finite"),
    "infinity": (_saved("a.tif", _floats(1.0, float("inf"))), "finite"),
    "negative floats": (_saved("a.tif", _floats(-1.0)), "no range"),
    "floats beyond 255": (_saved("a.tif", _floats(1000.0)), "no range"),
    "missing": (lambda folder: folder / "nothing.png", "cannot be read"),
    "a folder": (lambda folder: folder, "is a folder"),
    "a link to itself": (lambda folder: _linked(folder, "link.png"), "cannot be read"),
    "a link to nothing": (lambda folder: _linked(folder, "gone.png"), "cannot be read"),
    "a link to its folder": (lambda folder: _linked(folder, "."), "is a folder"),
    "a pipe": (_fifo, "no ordinary file"),
    "a null in its name": (lambda folder: folder / "a\0.png", "no name"),
    "a name too long": (lambda folder: folder / ("a" * 5000), "cannot be read"),
}
