"""A panoptic scene as one mesh per segment."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from panoptic3d.export.mesh import Mesh
from panoptic3d.export.surface import Surface, extract_surface, simplified_surface
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.scene import PanopticScene, Segment

_BORDER_VOX = 3.0  # fields of voxels end raggedly there
UNLABELLED = "unlabelled"
_UNLABELLED_COLOR = (128, 128, 128)


@dataclass(frozen=True, eq=False)
class SegmentMesh:
    """Camera frame, metres. Unlabelled surface, where there is any, comes last and has no segment. What a photo shows comes
    first among vertices and faces; the rest is guessed.
    """

    name: str
    segment: Segment | None
    class_color: tuple[int, int, int]
    mesh: Mesh
    normals: Float32[Tensor, "v 3"]
    num_seen_vertices: int = 0
    num_seen_faces: int = 0


@dataclass(frozen=True, eq=False)
class VertexColors:
    color: UInt8[Tensor, "v 3"]  # sRGB
    is_seen: Bool[Tensor, " v"]


def segment_meshes(scene: PanopticScene, simplify_vox: float = 0.0) -> list[SegmentMesh]:
    """In the order of `scene.segments`. A segment without a single face is there too, with an empty mesh."""
    grid = scene.grid
    is_seen = in_view(grid, scene.camera, _BORDER_VOX) if scene.known is None else scene.known
    with ThreadPoolExecutor(1, thread_name_prefix="segments") as beside:
        segments = beside.submit(lambda: scene.segments)
        surface = extract_surface(scene.distance_vox, scene.semantic, scene.instance, grid.camera_index, is_seen)
    if simplify_vox > 0:
        surface = simplified_surface(surface, simplify_vox)
    vertices_m = grid.camera_from_index(surface.mesh.vertices)
    normals = vertex_normals(Mesh(vertices_m, surface.mesh.faces))
    meshes, is_left = [], torch.ones(len(surface.mesh.faces), dtype=torch.bool)
    for segment in segments.result():
        is_own = _is_part(surface, segment)
        is_left &= ~is_own
        color = scene.taxonomy[segment.class_id].color
        meshes.append(_cut(segment.name, segment, color, vertices_m, normals, surface.mesh.faces[is_own]))
    if bool(is_left.any()):
        faces = surface.mesh.faces[is_left]
        meshes.append(_cut(UNLABELLED, None, _UNLABELLED_COLOR, vertices_m, normals, faces))
    return meshes


def in_view(grid: VoxelGrid, camera: Camera, margin_vox: float) -> Bool[Tensor, "x y z"]:
    """Grid points that project into the image, at least the margin away from its border: only for them does the absence of
    surface mean free space.
    """
    axes = [(torch.arange(size) - c) * grid.voxel_size_m for size, c in zip(grid.shape, grid.camera_index, strict=True)]
    depth, margin_m = axes[2].clamp(min=1e-6), margin_vox * grid.voxel_size_m
    in_columns = _within(axes[0], depth, camera.fx_px, camera.cx_px, camera.width, margin_m)
    in_rows = _within(axes[1], depth, camera.fy_px, camera.cy_px, camera.height, margin_m) & (axes[2] > 0)
    return in_columns[:, None, :] & in_rows[None, :, :]


def _within(
    place_m: Tensor, depth_m: Tensor, focal_px: float, centre_px: float, size_px: int, margin_m: float
) -> Bool[Tensor, "a z"]:
    low = (place_m[:, None] - margin_m) / depth_m * focal_px + centre_px
    high = (place_m[:, None] + margin_m) / depth_m * focal_px + centre_px
    return (low >= -0.5) & (high <= size_px - 0.5)


def _is_part(surface: Surface, segment: Segment) -> Bool[Tensor, " f"]:
    if segment.is_thing:
        return surface.face_instance == segment.instance_id
    return (surface.face_instance == 0) & (surface.face_semantic == segment.class_id)


def _cut(
    name: str,
    segment: Segment | None,
    color: tuple[int, int, int],
    vertices_m: Tensor,
    normals: Tensor,
    faces: Tensor,
) -> SegmentMesh:
    used, renumbered = torch.unique(faces, return_inverse=True)
    return SegmentMesh(name, segment, color, Mesh(vertices_m[used].float(), renumbered.view(-1, 3)), normals[used])


def vertex_normals(mesh: Mesh) -> Float32[Tensor, "v 3"]:
    """Mean of the faces around each vertex, weighted by their area; never of length 0."""
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    face_normal = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(mesh.vertices)
    for corner in range(3):
        total.index_add_(0, mesh.faces[:, corner], face_normal)
    is_lost = total.norm(dim=1) < 1e-12
    total[is_lost] = total.new_tensor([0.0, 0.0, -1.0])
    return torch.nn.functional.normalize(total, dim=1).float()
