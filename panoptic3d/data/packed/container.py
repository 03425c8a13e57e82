"""The file of a packed sample: named blocks behind a JSON header, each with its checksum.

    8 bytes   magic
    4 bytes   length of the header, little endian
    4 bytes   CRC-32 of the header
    header    JSON: format version, facts about the sample, and name, size, raw size, codec and CRC-32 of every block
    blocks    one after the other

A reader that wants only some blocks inflates only those.
"""

import json
import operator
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import zstandard

from panoptic3d.data.arrays import PathLike
from panoptic3d.data.reasons import bad_file
from panoptic3d.errors import reading
from panoptic3d.files import open_file

MAGIC = b"P3DPACK\n"
VERSION = 1
LEVEL = 19  # of zstandard: slow to write, as fast to read as level 1
_MAX_RAW_BYTES = 1 << 28  # of one block; a volume of 256^3 takes a sixteenth
_FIXED = struct.Struct("<8sII")

Codec = Literal["zstd", "none"]


@dataclass(frozen=True)
class Block:
    data: bytes
    codec: Codec = "zstd"


@dataclass(frozen=True)
class Packed:
    """A whole packed sample in memory, its header checked and its blocks not yet."""

    path: str
    facts: Mapping[str, Any]
    _entries: Mapping[str, Mapping[str, Any]]
    _data: bytes

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def block(self, name: str) -> bytes:
        """The content of a block after its checksum was compared."""
        entry = self._entries.get(name)
        if entry is None:
            raise bad_file(self.path, "wrong_key", expected=f"a block `{name}`", found=self.names(), key=name)
        stored = self._data[entry["offset"] : entry["offset"] + entry["size"]]
        if len(stored) < entry["size"]:
            found = f"{len(stored)} bytes"
            raise bad_file(self.path, "truncated", expected=f"{entry['size']} bytes", found=found, key=name)
        if zlib.crc32(stored) != entry["crc32"]:
            raise bad_file(self.path, "corrupt", expected="sound data", found="another checksum", key=name)
        if entry["codec"] == "none":
            return stored
        with reading(self.path, "sound data", name):
            return _inflated(stored, entry["raw_size"])

    def array(self, name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        """Read only."""
        return np.frombuffer(self.block(name), np.dtype(dtype).newbyteorder("<")).reshape(shape)

    def names(self) -> str:
        return ", ".join(self._entries)

    def check_all(self) -> None:
        for name in self._entries:
            self.block(name)


def dump(facts: Mapping[str, Any], blocks: Mapping[str, Block], level: int = LEVEL) -> bytes:
    stored = {name: _compress(block, level) for name, block in blocks.items()}
    entries = {
        name: {
            "size": len(stored[name]),
            "raw_size": len(block.data),
            "codec": block.codec,
            "crc32": zlib.crc32(stored[name]),
        }
        for name, block in blocks.items()
    }
    header = {"version": VERSION, "facts": facts, "blocks": entries}
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    return b"".join([_FIXED.pack(MAGIC, len(text), zlib.crc32(text)), text, *stored.values()])


def load(path: PathLike) -> Packed:
    """Open a packed file. Its blocks are checked when they are read."""
    with reading(path, "a packed sample"), open_file(path) as file:
        data = file.read()
    return parse(data, path)


def parse(data: bytes, path: PathLike) -> Packed:
    if not data:
        raise bad_file(path, "empty", expected="a packed sample", found="0 bytes")
    if not data.startswith(MAGIC[: len(data)]):
        raise bad_file(path, "not_packed", expected="a packed sample", found="another kind of file")
    if len(data) < _FIXED.size or len(data) < _FIXED.size + _FIXED.unpack_from(data)[1]:
        raise bad_file(path, "truncated", expected="a whole header", found=f"{len(data)} bytes")
    _, length, checksum = _FIXED.unpack_from(data)
    text = data[_FIXED.size : _FIXED.size + length]
    if zlib.crc32(text) != checksum:
        raise bad_file(path, "corrupt", expected="a sound header", found="another checksum")
    with reading(path, "the header of a packed sample"):
        header = json.loads(text)
        if header["version"] != VERSION:
            found = f"version {header['version']}"
            raise bad_file(path, "wrong_version", expected=f"version {VERSION}", found=found)
        return Packed(str(path), header["facts"], dict(_with_offsets(header["blocks"], _FIXED.size + length)), data)


def _inflated(stored: bytes, raw_size: int) -> bytes:
    """Decompress a block. Its size in the header and in zstandard's frame are compared before memory is allocated."""
    said = zstandard.frame_content_size(stored)
    if not 0 <= raw_size <= _MAX_RAW_BYTES or said not in (-1, raw_size):
        raise ValueError(f"a block that unpacks to {max(said, raw_size):,} bytes where {raw_size:,} are announced")
    raw = zstandard.ZstdDecompressor().decompress(stored, max_output_size=raw_size) if raw_size else b""
    if len(raw) != raw_size:
        raise ValueError(f"{len(raw):,} bytes where {raw_size:,} are announced")
    return raw


def array_block(array: np.ndarray) -> Block:
    return Block(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())


def _compress(block: Block, level: int) -> bytes:
    if block.codec == "none":
        return block.data
    return zstandard.ZstdCompressor(level=level).compress(block.data)


def _with_offsets(entries: Mapping[str, Any], offset: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, entry in entries.items():
        size, raw_size, crc32 = (operator.index(entry[key]) for key in ("size", "raw_size", "crc32"))
        if size < 0 or entry["codec"] not in get_args(Codec):
            raise ValueError(f"a block {name!r} of {size} bytes, codec {entry['codec']!r}")
        yield name, {"size": size, "raw_size": raw_size, "crc32": crc32, "codec": entry["codec"], "offset": offset}
        offset += size
