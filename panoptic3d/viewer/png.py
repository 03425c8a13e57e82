"""PNG with one filter for all rows: for renders as small as with the best filter for each, in half the time."""

import struct
import zlib

import numpy as np
from jaxtyping import UInt8

_LIKE_ROW_ABOVE = 2  # the filter "up"
_LEVEL = 2
_RGB = (8, 2, 0, 0, 0)  # bits, colour type, and the only kinds of deflating, filtering and interlacing


def png_bytes(picture: UInt8[np.ndarray, "h w 3"]) -> bytes:
    height, width, _ = picture.shape
    rows = picture.reshape(height, 3 * width)
    filtered = np.empty((height, 1 + 3 * width), np.uint8)
    filtered[:, 0] = _LIKE_ROW_ABOVE
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])  # modulo 256, as is wanted
    header = struct.pack(">2I5B", width, height, *_RGB)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(filtered.data, _LEVEL)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
