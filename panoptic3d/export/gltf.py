"""GLB: one binary glTF 2.0 file with a named node per segment. The only place where axes are flipped for glTF."""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from panoptic3d.export.segments import SegmentMesh, VertexColors
from panoptic3d.version import __version__

_MAGIC, _JSON_CHUNK, _BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
_FLOAT, _UINT16, _UINT32 = 5126, 5123, 5125
_VERTICES, _INDICES = 34962, 34963


@dataclass(frozen=True, eq=False)
class GltfNode:
    part: SegmentMesh
    colors: VertexColors
    extras: dict[str, Any]


def gltf_from_camera(vectors: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """glTF has y up and z towards the viewer, the camera frame y down and z forward: half a turn about x."""
    return vectors * vectors.new_tensor([1.0, -1.0, -1.0])


def linear_from_srgb(color: UInt8[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """COLOR_0 is linear; sRGB bytes written into it come out washed out in every viewer."""
    value = color.double() / 255
    return torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).float()


def glb_bytes(nodes: Sequence[GltfNode], extras: dict[str, Any]) -> bytes:
    """Nodes without a face keep their name and extras and have no mesh. Everything hangs below one root node."""
    buffer = _Buffer()
    meshes, entries = [], []
    for node in nodes:
        entry: dict[str, Any] = {"name": node.part.name, "extras": node.extras}
        if len(node.part.mesh.faces):
            entry["mesh"] = len(meshes)
            meshes.append(_mesh(node, buffer))
        entries.append(entry)
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"panoptic3d {__version__}"},
        "scene": 0,
        "scenes": [
            {"name": "panoptic scene", "extras": extras} | ({"nodes": list(range(len(entries)))} if entries else {})
        ],
    }
    if entries:
        document["nodes"] = entries
    if meshes:
        material = {"roughnessFactor": 1.0, "metallicFactor": 0.0}
        document |= {
            "meshes": meshes,
            "materials": [{"name": "surface", "doubleSided": True, "pbrMetallicRoughness": material}],
            "accessors": buffer.accessors,
            "bufferViews": buffer.views,
            "buffers": [{"byteLength": len(buffer.data)}],
        }
    return _pack(document, bytes(buffer.data))


def _mesh(node: GltfNode, buffer: "_Buffer") -> dict[str, Any]:
    part = node.part
    position = gltf_from_camera(part.mesh.vertices).numpy().astype("<f4")
    normal = gltf_from_camera(part.normals).numpy().astype("<f4")
    color = np.full((len(position), 4), 65535, "<u2")
    color[:, :3] = np.round(linear_from_srgb(node.colors.color).numpy() * 65535)
    attributes = {
        "POSITION": buffer.add(position, "VEC3", _FLOAT, _VERTICES, has_bounds=True),
        "NORMAL": buffer.add(normal, "VEC3", _FLOAT, _VERTICES),
        "COLOR_0": buffer.add(color, "VEC4", _UINT16, _VERTICES, normalized=True),
    }
    # Half a turn is a rotation: the winding stays.
    indices = buffer.add(part.mesh.faces.numpy().astype("<u4").reshape(-1), "SCALAR", _UINT32, _INDICES)
    primitive = {"attributes": attributes, "indices": indices, "material": 0, "mode": 4}
    return {"name": part.name, "primitives": [primitive]}


class _Buffer:
    """The binary chunk while it grows, and what the JSON says of it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(
        self,
        values: np.ndarray,
        kind: str,
        component: int,
        target: int,
        *,
        normalized: bool = False,
        has_bounds: bool = False,
    ) -> int:
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": values.nbytes, "target": target})
        accessor = {"bufferView": len(self.views) - 1, "componentType": component, "count": len(values), "type": kind}
        if normalized:
            accessor["normalized"] = True
        if has_bounds:
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        self.accessors.append(accessor)
        self.data += values.tobytes()
        self.data += bytes(-len(self.data) % 4)
        return len(self.accessors) - 1


def _pack(document: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), _JSON_CHUNK) + text
    if binary:
        chunks += struct.pack("<II", len(binary), _BINARY_CHUNK) + binary
    return struct.pack("<III", _MAGIC, 2, 12 + len(chunks)) + chunks
