"""GLB: one binary glTF 2.0 file with a named node per segment. The only place where axes are flipped for glTF.

A segment's mesh has up to two primitives: what the photo shows, with the photo as its texture, and the guess, with vertex
colours. Numbers are quantised (KHR_mesh_quantization): 16 bits for places, a byte for normals. docs/adr/0012-looks.md.
"""

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from panoptic3d.export.gltf_buffer import GltfBuffer
from panoptic3d.export.segments import SegmentMesh, VertexColors
from panoptic3d.structures.camera import Camera
from panoptic3d.version import __version__

CAMERA_NODE = "photo camera"
_MAGIC, _JSON_CHUNK, _BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
_UNLIT, _VARIANTS, _QUANTIZED = "KHR_materials_unlit", "KHR_materials_variants", "KHR_mesh_quantization"
_GUESS, _PHOTO, _PHOTO_LIT = range(3)  # materials
_NEAR_M, _LINEAR_FILTER, _CLAMP = 0.05, 9729, 33071


@dataclass(frozen=True, eq=False)
class GltfNode:
    part: SegmentMesh
    colors: VertexColors
    extras: dict[str, Any]


@dataclass(frozen=True)
class GltfPhoto:
    """A JPEG of what the camera saw, at any size."""

    jpeg: bytes
    camera: Camera


def gltf_from_camera(vectors: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """glTF has y up and z towards the viewer, the camera frame y down and z forward: half a turn about x."""
    return vectors * vectors.new_tensor([1.0, -1.0, -1.0])


def linear_from_srgb(color: UInt8[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """COLOR_0 is linear; sRGB bytes written into it come out washed out in every viewer."""
    value = color.double() / 255
    return torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).float()


def glb_bytes(
    nodes: Sequence[GltfNode], extras: dict[str, Any], camera: Camera, photo: GltfPhoto | None = None
) -> bytes:
    """Nodes without a face keep their name and extras and have no mesh. The camera's node comes last. Without a photo all
    surface has vertex colours.
    """
    buffer = GltfBuffer()
    ruler = _Ruler.of([gltf_from_camera(node.part.mesh.vertices) for node in nodes])
    meshes, entries = [], []
    for node in nodes:
        entry: dict[str, Any] = {"name": node.part.name, "extras": in_gltf_frame(node.extras)}
        if len(node.part.mesh.faces):
            entry |= {"mesh": len(meshes), "translation": ruler.low, "scale": [ruler.step] * 3}
            meshes.append(_mesh(node, buffer, ruler, photo))
        entries.append(entry)
    entries.append({"name": CAMERA_NODE, "camera": 0})
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"panoptic3d {__version__}"},
        "scene": 0,
        "scenes": [{"name": "panoptic scene", "extras": extras, "nodes": list(range(len(entries)))}],
        "nodes": entries,
        "cameras": [_camera(camera)],
    }
    if meshes:
        document |= {"meshes": meshes, "materials": _materials(photo is not None)} | _extensions(photo is not None)
        if photo is not None:
            document |= _texture(photo, buffer)
        document |= {
            "accessors": buffer.accessors,
            "bufferViews": buffer.views,
            "buffers": [{"byteLength": len(buffer.data)}],
        }
    return _pack(document, bytes(buffer.data))


def in_gltf_frame(extras: dict[str, Any]) -> dict[str, Any]:
    """Boxes as the meshes have them, y up: scene.json has them in the camera's frame."""
    low, high = extras.get("box_min_m"), extras.get("box_max_m")
    if low is None or high is None:
        return extras
    return extras | {"box_min_m": [low[0], -high[1], -high[2]], "box_max_m": [high[0], -low[1], -low[2]]}


def _camera(camera: Camera) -> dict[str, Any]:
    """glTF has no principal point: where it is not in the middle, the extras are right and the frustum nearly so."""
    return {
        "name": CAMERA_NODE,
        "type": "perspective",
        "perspective": {
            "yfov": 2 * math.atan(camera.height / 2 / camera.fy_px),
            "aspectRatio": camera.width / camera.fx_px / (camera.height / camera.fy_px),
            "znear": _NEAR_M,
        },
        "extras": {name: getattr(camera, name) for name in ("fx_px", "fy_px", "cx_px", "cy_px", "width", "height")},
    }


def _materials(has_photo: bool) -> list[dict[str, Any]]:
    rough = {"roughnessFactor": 1.0, "metallicFactor": 0.0}
    guess = {"name": "guess" if has_photo else "surface", "doubleSided": True, "pbrMetallicRoughness": rough}
    if not has_photo:
        return [guess]
    textured = {"doubleSided": True, "pbrMetallicRoughness": rough | {"baseColorTexture": {"index": 0}}}
    return [guess, {"name": "photo", **textured, "extensions": {_UNLIT: {}}}, {"name": "photo, lit", **textured}]


def _extensions(has_photo: bool) -> dict[str, Any]:
    if not has_photo:
        return {"extensionsUsed": [_QUANTIZED], "extensionsRequired": [_QUANTIZED]}
    return {
        "extensionsUsed": [_QUANTIZED, _UNLIT, _VARIANTS],
        "extensionsRequired": [_QUANTIZED],
        "extensions": {_VARIANTS: {"variants": [{"name": "photo"}, {"name": "lit"}]}},
    }


def _texture(photo: GltfPhoto, buffer: GltfBuffer) -> dict[str, Any]:
    view = buffer.add_bytes(photo.jpeg)
    sampler = {"magFilter": _LINEAR_FILTER, "minFilter": _LINEAR_FILTER, "wrapS": _CLAMP, "wrapT": _CLAMP}
    return {
        "images": [{"name": "photo", "mimeType": "image/jpeg", "bufferView": view}],
        "samplers": [sampler],
        "textures": [{"sampler": 0, "source": 0}],
    }


@dataclass(frozen=True)
class _Ruler:
    """`metres = low + step * whole`, one for all nodes: segments that touch keep touching."""

    low: list[float]
    step: float

    @classmethod
    def of(cls, places: Sequence[Tensor]) -> "_Ruler":
        points = torch.cat([torch.zeros(1, 3), *places]).double()
        low = points.amin(dim=0)
        return cls(low.tolist(), max(float((points - low).max()), 1e-3) / 65535)

    def whole(self, place: Float[Tensor, "v 3"]) -> Int[Tensor, "v 3"]:
        shifted = place.double() - place.new_tensor(self.low, dtype=torch.float64)
        return (shifted / self.step).round().clamp(0, 65535).int()


def _mesh(node: GltfNode, buffer: GltfBuffer, ruler: _Ruler, photo: GltfPhoto | None) -> dict[str, Any]:
    part = node.part
    whole = ruler.whole(gltf_from_camera(part.mesh.vertices))
    normals = (gltf_from_camera(part.normals) * 127).round().to(torch.int8)
    primitives = []
    num, num_faces = (part.num_seen_vertices, part.num_seen_faces) if photo is not None else (0, 0)
    faces = part.mesh.faces
    if photo is not None and num_faces:
        attributes = {
            "POSITION": buffer.add_positions(whole[:num].numpy()),
            "NORMAL": buffer.add_normals(normals[:num].numpy()),
            "TEXCOORD_0": buffer.add_places(_in_photo(part.mesh.vertices[:num], photo.camera).numpy()),
        }
        mapped = [{"material": _PHOTO, "variants": [0]}, {"material": _PHOTO_LIT, "variants": [1]}]
        primitives.append(
            {
                "attributes": attributes,
                "indices": buffer.add_indices(faces[:num_faces].numpy(), num),
                "material": _PHOTO,
                "mode": 4,
                "extensions": {_VARIANTS: {"mappings": mapped}},
            }
        )
    if len(faces) > num_faces:
        attributes = {
            "POSITION": buffer.add_positions(whole[num:].numpy()),
            "NORMAL": buffer.add_normals(normals[num:].numpy()),
            "COLOR_0": buffer.add_colors(linear_from_srgb(node.colors.color[num:]).numpy()),
        }
        indices = buffer.add_indices((faces[num_faces:] - num).numpy(), len(whole) - num)
        primitives.append({"attributes": attributes, "indices": indices, "material": _GUESS, "mode": 4})
    return {"name": part.name, "primitives": primitives}


def vertices_in_file(part: SegmentMesh, has_photo: bool) -> Float[Tensor, "n 3"]:
    """Those of the primitives, in their order. A node without faces has none."""
    faces, vertices = part.mesh.faces, part.mesh.vertices
    num, num_faces = (part.num_seen_vertices, part.num_seen_faces) if has_photo else (0, 0)
    seen = vertices[: num if num_faces else 0]
    return torch.cat((seen, vertices[num:] if len(faces) > num_faces else vertices[:0]))


def _in_photo(points_m: Float[Tensor, "n 3"], camera: Camera) -> Float[Tensor, "n 2"]:
    """0 to 1 from the upper left corner of the photo."""
    x, y, depth = points_m.double().unbind(1)
    u = (x / depth * camera.fx_px + camera.cx_px + 0.5) / camera.width
    v = (y / depth * camera.fy_px + camera.cy_px + 0.5) / camera.height
    return torch.stack((u, v), dim=1).clamp(0, 1).float()


def _pack(document: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), _JSON_CHUNK) + text
    if binary:
        chunks += struct.pack("<II", len(binary), _BINARY_CHUNK) + binary
    return struct.pack("<III", _MAGIC, 2, 12 + len(chunks)) + chunks
