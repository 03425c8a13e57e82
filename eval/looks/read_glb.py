"""A GLB as any reader sees it: nodes, primitives, quantised or not, with texture. Knows nothing of the writer."""

import io
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, UInt8
from PIL import Image

_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@dataclass(frozen=True, eq=False)
class Primitive:
    """In the camera's frame: x right, y down, z forward, metres. Colours are sRGB from 0 to 1."""

    node: str
    extras: dict[str, Any]
    vertices_m: Float[np.ndarray, "v 3"]
    faces: Int64[np.ndarray, "f 3"]
    colors: Float[np.ndarray, "v 3"] | None
    uv: Float[np.ndarray, "v 2"] | None
    texture: UInt8[np.ndarray, "h w 3"] | None
    is_unlit: bool


def read_primitives(path: Path) -> list[Primitive]:
    document, binary = _chunks(path.read_bytes())
    pictures: dict[int, np.ndarray] = {}
    return [
        primitive for node, pose in _nodes(document) for primitive in _of_node(document, binary, node, pose, pictures)
    ]


def _chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    magic, version, _ = struct.unpack_from("<III", data)
    assert (magic, version) == (0x46546C67, 2), "a GLB of version 2"
    size, _ = struct.unpack_from("<II", data, 12)
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def _nodes(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Each node with its pose in the scene."""

    def walk(number: int, above: np.ndarray) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        node = document["nodes"][number]
        pose = above @ _pose(node)
        yield node, pose
        for child in node.get("children", ()):
            yield from walk(child, pose)

    for root in document["scenes"][document.get("scene", 0)].get("nodes", ()):
        yield from walk(root, np.eye(4))


def _pose(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    pose = np.eye(4)
    pose[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)))
    pose[:3, 3] = node.get("translation", (0, 0, 0))
    return pose


def _of_node(
    document: dict[str, Any], binary: bytes, node: dict[str, Any], pose: np.ndarray, pictures: dict[int, np.ndarray]
) -> Iterator[Primitive]:
    if "mesh" not in node:
        return
    for primitive in document["meshes"][node["mesh"]]["primitives"]:
        attributes = primitive["attributes"]
        local = _values(document, binary, attributes["POSITION"])
        world = local @ pose[:3, :3].T + pose[:3, 3]
        material = document["materials"][primitive["material"]]
        colors = attributes.get("COLOR_0")
        texture = material.get("pbrMetallicRoughness", {}).get("baseColorTexture")
        uv = attributes.get("TEXCOORD_0")
        yield Primitive(
            node["name"],
            node.get("extras", {}),
            world * np.array([1.0, -1.0, -1.0]),
            _values(document, binary, primitive["indices"]).astype(np.int64).reshape(-1, 3),
            None if colors is None else _srgb(_values(document, binary, colors)[:, :3]),
            None if uv is None else _values(document, binary, uv),
            None if texture is None else _picture(document, binary, texture["index"], pictures),
            "KHR_materials_unlit" in material.get("extensions", {}),
        )


def _values(document: dict[str, Any], binary: bytes, number: int) -> np.ndarray:
    accessor = document["accessors"][number]
    view = document["bufferViews"][accessor["bufferView"]]
    kind, width = np.dtype(_TYPES[accessor["componentType"]]), _WIDTHS[accessor["type"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    stride = view.get("byteStride", kind.itemsize * width)
    rows = np.lib.stride_tricks.as_strided(
        np.frombuffer(binary, np.uint8, offset=start), (accessor["count"], kind.itemsize * width), (stride, 1)
    )
    values = np.ascontiguousarray(rows).view(kind).reshape(accessor["count"], width)
    if width == 1:
        values = values[:, 0]
    if not accessor.get("normalized"):
        return values.astype(np.float64) if accessor["type"] != "SCALAR" else values
    return np.maximum(values.astype(np.float64) / np.iinfo(kind).max, -1)


def _picture(document: dict[str, Any], binary: bytes, texture: int, known: dict[int, np.ndarray]) -> np.ndarray:
    number = document["textures"][texture]["source"]
    if number not in known:
        view = document["bufferViews"][document["images"][number]["bufferView"]]
        start = view.get("byteOffset", 0)
        data = binary[start : start + view["byteLength"]]
        known[number] = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    return known[number]


def _srgb(linear: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
