"""PLY and OBJ of a scene, in the camera frame (x right, y down, z forward, metres), for tools that read no glTF."""

from collections.abc import Sequence

import numpy as np

from panoptic3d.export.gltf import GltfNode


def ply_bytes(nodes: Sequence[GltfNode]) -> bytes:
    """Binary, one mesh; class and instance id are vertex properties beside the sRGB colour."""
    dtype = [("xyz", "<f4", 3), ("normal", "<f4", 3), ("rgb", "u1", 3), ("semantic", "u1"), ("instance", "<i4")]
    vertices, faces, total = [], [], 0
    for node in nodes:
        block = np.zeros(len(node.part.mesh.vertices), dtype)
        block["xyz"], block["normal"] = node.part.mesh.vertices.numpy(), node.part.normals.numpy()
        block["rgb"] = node.colors.color.numpy()
        if (segment := node.part.segment) is not None:
            block["semantic"], block["instance"] = segment.class_id, segment.instance_id
        vertices.append(block)
        faces.append(node.part.mesh.faces.numpy() + total)
        total += len(block)
    corner = np.concatenate(faces) if faces else np.zeros((0, 3), np.int64)
    face = np.zeros(len(corner), [("count", "u1"), ("corner", "<i4", 3)])
    face["count"], face["corner"] = 3, corner
    body = b"".join(block.tobytes() for block in vertices)
    return _ply_header(total, len(face)) + body + face.tobytes()


def _ply_header(num_vertices: int, num_faces: int) -> bytes:
    properties = [f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")]
    properties += [f"property uchar {name}" for name in ("red", "green", "blue", "semantic")]
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        "comment camera frame: x right, y down, z forward, metres",
        f"element vertex {num_vertices}",
        *properties,
        "property int instance",
        f"element face {num_faces}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    return "\n".join(lines).encode() + b"\n"


def obj_bytes(nodes: Sequence[GltfNode]) -> bytes:
    """One object per segment; colours follow the vertices, as MeshLab and Blender read them."""
    lines, total = ["# camera frame: x right, y down, z forward, metres"], 1
    for node in nodes:
        lines.append(f"o {node.part.name}")
        colors = (node.colors.color.double() / 255).numpy()
        vertices = node.part.mesh.vertices.numpy()
        lines += ["v %.5f %.5f %.5f %.4f %.4f %.4f" % (*p, *c) for p, c in zip(vertices, colors, strict=True)]  # noqa: UP031
        lines += ["f %d %d %d" % tuple(face) for face in (node.part.mesh.faces + total).tolist()]  # noqa: UP031
        total += len(vertices)
    return ("\n".join(lines) + "\n").encode()
