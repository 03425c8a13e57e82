"""The file of a packed sample: named blocks behind a JSON header, each with its checksum.

    8 bytes   magic
    4 bytes   length of the header, little endian
    4 bytes   CRC-32 of the header
    header    JSON: format version, facts about the sample, and name, size, raw size, codec and CRC-32 of every block
    blocks    one after the other

A reader that wants only some blocks inflates only those.
"""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import zstandard

from panoptic3d.data.arrays import PathLike
from panoptic3d.data.reasons import bad_file

MAGIC = b"P3DPACK\n"
VERSION = 1
LEVEL = 19  # of zstandard: slow to write, as fast to read as level 1
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
        return zstandard.ZstdDecompressor().decompress(stored, max_output_size=entry["raw_size"])

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
    """A packed file; its blocks are checked when they are asked for."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise bad_file(path, "missing", expected="a packed sample", found="nothing") from None
    except OSError as error:
        raise bad_file(path, "unreadable", expected="a readable file", found=error.strerror or str(error)) from None
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
    header = json.loads(text)
    if header["version"] != VERSION:
        found = f"version {header['version']}"
        raise bad_file(path, "wrong_version", expected=f"version {VERSION}", found=found)
    return Packed(str(path), header["facts"], dict(_with_offsets(header["blocks"], _FIXED.size + length)), data)


def array_block(array: np.ndarray) -> Block:
    return Block(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())


def _compress(block: Block, level: int) -> bytes:
    if block.codec == "none":
        return block.data
    return zstandard.ZstdCompressor(level=level).compress(block.data)


def _with_offsets(entries: Mapping[str, Any], offset: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, entry in entries.items():
        yield name, {**entry, "offset": offset}
        offset += entry["size"]
