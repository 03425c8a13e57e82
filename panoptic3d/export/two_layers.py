"""A scene as two layers of meshes, one segment after the other: what its photo shows, and behind that the guess."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from PIL import Image
from torch import Tensor

from panoptic3d.export.flat_room import FlatRoom, fit_flat_room, masks_of_stuff
from panoptic3d.export.guess import Sight, behind_photo, continued_colors, is_scrap, may_be_seen
from panoptic3d.export.mesh import Mesh
from panoptic3d.export.photo_depth import mesh_camera, read_depth, sharpened, without_flakes
from panoptic3d.export.photo_labels import segment_of_pixels
from panoptic3d.export.photo_mesh import PhotoMesh, photo_mesh
from panoptic3d.export.photo_smooth import settled
from panoptic3d.export.rays import ray_slopes
from panoptic3d.export.segments import SegmentMesh, VertexColors, segment_meshes, vertex_normals
from panoptic3d.export.smooth import smoothed
from panoptic3d.export.view_colors import Rasterize, colors_from_views
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import PanopticScene

GUESS_TINT = 0.35  # share of white in the colours of guessed surface
_OUTSIDE_VOX = 2.0  # so far behind a wall is outside of the room
_BEHIND_VOX = 0.15  # a guess comes no nearer to the visible surface: it would show between its pixels
_HIDDEN = 1.002  # so much farther than the plane that the photo shows: where the two meet, the photo's is in front
InFront = Callable[[Tensor, Tensor, Camera, Tensor], Bool[Tensor, " f"]]  # faces with a pixel nearer than a depth


@dataclass(frozen=True, eq=False)
class Layers:
    """In the order of `scene.segments`; `parts` have what the photo shows of them first."""

    volume: tuple[SegmentMesh, ...]  # the parts as the volume has them: whole, and what boxes are measured on
    parts: tuple[SegmentMesh, ...]
    colors: tuple[VertexColors, ...]
    sight: Sight | None  # None where the scene has no photo


def layered(scene: PanopticScene, simplify_vox: float, rasterize: Rasterize, in_front: InFront) -> Layers:
    """Without a photo there is one layer, in the colours of classes."""
    parts = segment_meshes(scene, simplify_vox)
    if scene.photo is None:
        return Layers(tuple(parts), tuple(parts), tuple(_plain(part) for part in parts), None)
    camera = mesh_camera(scene.camera)
    guide = _guide(scene.photo, camera)
    vertices, faces, owner = _joined(parts)
    if scene.depth_map is not None:
        depth = without_flakes(sharpened(read_depth(scene.depth_map, scene.camera, camera), guide))
    else:
        depth = rasterize(torch.from_numpy(vertices), torch.from_numpy(faces), camera).numpy()
    sight, room = _sight(scene, parts, depth, camera, guide)
    parts = [room.straightened(part, scene.taxonomy) for part in parts]
    vertices, faces, owner = _joined(parts)
    shown = photo_mesh(sight.depth_m, sight.segment, camera)
    hidden_depth, hidden_segment = _hidden_room(room, sight, parts, scene)
    hidden = photo_mesh(hidden_depth, hidden_segment, camera)
    of_vertex = np.repeat(np.arange(len(parts)), [len(part.mesh.vertices) for part in parts])
    vertices, stays = behind_photo(vertices, faces, of_vertex, sight, scene.grid.voxel_size_m)
    is_stuff = np.array([p.segment is not None and not p.segment.is_thing for p in parts] + [False])  # last: nothing
    margin_m = _OUTSIDE_VOX * scene.grid.voxel_size_m
    end_m = room.end_m(sight.depth_m) + margin_m
    stays &= ~_is_replaced(vertices, faces, owner, sight, hidden_segment, is_stuff, margin_m)
    stays &= ~_is_outside(vertices, faces, sight, end_m)
    if not scene.views:
        stays &= ~_is_beside(vertices, faces, sight, is_stuff[owner])
    vertices = smoothed(vertices, faces[stays], scene.grid.voxel_size_m)
    behind_m = _BEHIND_VOX * scene.grid.voxel_size_m
    rows = np.flatnonzero(stays)
    rows = rows[may_be_seen(vertices, faces[rows], sight, behind_m)]
    limit = torch.from_numpy(sight.deepest_nearby() + behind_m)
    stays[rows] = ~in_front(torch.from_numpy(vertices), torch.from_numpy(faces[rows]), camera, limit).numpy()
    stays[stays] = ~is_scrap(faces[stays])
    vertices, faces, owner, normals = _with_hidden_room(vertices, faces[stays], owner[stays], hidden)
    meshes = [_both(part, n, shown, vertices, faces[owner == n], normals) for n, part in enumerate(parts)]
    colors = [_colors(mesh, scene.photo, scene.camera) for mesh in meshes]
    if scene.views:
        colors = _with_views(colors, meshes, scene, rasterize)
    return Layers(tuple(parts), tuple(meshes), tuple(colors), sight)


def _sight(
    scene: PanopticScene, parts: list[SegmentMesh], depth: np.ndarray, camera: Camera, guide: np.ndarray
) -> tuple[Sight, FlatRoom]:
    segments = tuple(part.segment for part in parts if part.segment is not None)
    is_known = np.isfinite(depth)
    points = ray_slopes(camera) * np.where(is_known, depth, 1.0)[..., None]
    labels = np.where(is_known, segment_of_pixels(scene, segments, points, guide), -1)
    masks = masks_of_stuff(labels, segments, scene.taxonomy)
    room = fit_flat_room(depth, masks, camera)
    is_thing = np.array([segment.is_thing for segment in segments], np.bool_)
    depth = settled(room.depth(depth, masks, guide), labels, is_thing)
    return Sight(camera, room.inside(depth, labels, is_thing), labels), room


def _guide(photo: UInt8[Tensor, "3 h w"], camera: Camera) -> Float32[np.ndarray, "ch cw 3"]:
    image = Image.fromarray(photo.permute(1, 2, 0).contiguous().numpy())
    return np.asarray(image.resize((camera.width, camera.height), Image.Resampling.BOX), np.float32) / 255


def _joined(parts: list[SegmentMesh]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All vertices, all faces, and which part each face is of."""
    starts = np.cumsum([0, *(len(part.mesh.vertices) for part in parts)])
    vertices = np.concatenate([np.zeros((0, 3)), *(part.mesh.vertices.double().numpy() for part in parts)])
    none = np.zeros((0, 3), np.int64)
    faces = np.concatenate([none, *(p.mesh.faces.numpy() + s for p, s in zip(parts, starts, strict=False))])
    return vertices, faces, np.repeat(np.arange(len(parts)), [len(part.mesh.faces) for part in parts])


def _hidden_room(
    room: FlatRoom, sight: Sight, parts: list[SegmentMesh], scene: PanopticScene
) -> tuple[np.ndarray, np.ndarray]:
    """Walls and floor behind the things that the photo shows."""
    number_of, is_thing = {}, np.zeros(len(parts) + 1, np.bool_)
    for number, part in enumerate(parts):
        is_thing[number] = part.segment is not None and part.segment.is_thing
        if part.segment is not None and not part.segment.is_thing:
            number_of[scene.taxonomy[part.segment.class_id].name] = number
    return room.behind(sight.depth_m, number_of, is_thing[sight.segment])


def _is_replaced(
    vertices: np.ndarray,
    faces: np.ndarray,
    owner: np.ndarray,
    sight: Sight,
    hidden: np.ndarray,
    is_stuff: Bool[np.ndarray, " s"],
    margin_m: float,
) -> Bool[np.ndarray, " f"]:
    """Faces of the volume where a plane of their own class stands for it, and whatever lies behind a wall or below a floor:
    behind what bounds the room there is nothing of it.
    """
    middle = vertices[faces].mean(axis=1)
    pixel, is_inside = sight.pixels_of(middle)
    is_outside = is_stuff[sight.segment.ravel()[pixel]] & (middle[:, 2] > sight.depth_m.ravel()[pixel] + margin_m)
    return is_inside & ((hidden.ravel()[pixel] == owner) | is_outside)


def _is_outside(
    vertices: np.ndarray, faces: np.ndarray, sight: Sight, end_m: Float[np.ndarray, "h w"]
) -> Bool[np.ndarray, " f"]:
    """Faces that reach out of the room."""
    pixel, is_inside = sight.pixels_of(vertices)
    return np.asarray((is_inside & (vertices[:, 2] > end_m.ravel()[pixel]))[faces].any(axis=1))


def _is_beside(
    vertices: np.ndarray, faces: np.ndarray, sight: Sight, is_stuff: Bool[np.ndarray, " f"]
) -> Bool[np.ndarray, " f"]:
    """Walls, floor and ceiling beside the picture: a ragged strip as wide as the volume's margin, of which nothing is known.
    The room ends where the photo does.
    """
    _, is_inside = sight.pixels_of(vertices)
    return is_stuff & ~is_inside[faces].any(axis=1)


def _with_hidden_room(
    vertices: np.ndarray, faces: np.ndarray, owner: np.ndarray, hidden: PhotoMesh
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Tensor]:
    """The guess of the volume and that of the planes as one."""
    vertices, num = np.concatenate((vertices, hidden.vertices_m * _HIDDEN)), len(vertices)
    faces = np.concatenate((faces, hidden.faces + num))
    mesh = Mesh(torch.from_numpy(vertices.astype(np.float32)), torch.from_numpy(faces))
    return vertices, faces, np.concatenate((owner, hidden.face_segment)), vertex_normals(mesh)


def _both(
    part: SegmentMesh,
    number: int,
    shown: PhotoMesh,
    vertices: Float[np.ndarray, "v 3"],
    faces: Int64[np.ndarray, "f 3"],
    normals: Float32[Tensor, "v 3"],
) -> SegmentMesh:
    """Join the two layers of a part: the visible surface from the photo, then the guess."""
    front, front_faces = _used(shown.faces[shown.face_segment == number], shown.vertices_m)
    front_mesh = Mesh(torch.from_numpy(front.astype(np.float32)), torch.from_numpy(front_faces))
    used, numbers = np.unique(faces, return_inverse=True)
    back = torch.from_numpy(vertices[used].astype(np.float32))
    back_faces = torch.from_numpy(numbers.reshape(-1, 3).astype(np.int64))
    return replace(
        part,
        mesh=Mesh(torch.cat((front_mesh.vertices, back)), torch.cat((front_mesh.faces, back_faces + len(front)))),
        normals=torch.cat((vertex_normals(front_mesh), normals[torch.from_numpy(used)])),
        num_seen_vertices=len(front),
        num_seen_faces=len(front_faces),
    )


def _used(faces: np.ndarray, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used, numbers = np.unique(faces, return_inverse=True)
    return vertices[used], numbers.reshape(-1, 3).astype(np.int64)


def _with_views(
    colors: list[VertexColors], meshes: list[SegmentMesh], scene: PanopticScene, rasterize: Rasterize
) -> list[VertexColors]:
    """Colour surfaces that the scene's own photo does not show from the other photos."""
    vertices, faces, _ = _joined(meshes)
    normals = torch.cat([torch.zeros(0, 3), *(mesh.normals for mesh in meshes)])
    of_views, is_found = colors_from_views(
        torch.from_numpy(vertices), normals, torch.from_numpy(faces), scene.views, rasterize
    )
    starts = np.cumsum([0, *(len(mesh.mesh.vertices) for mesh in meshes)]).tolist()
    result = []
    for own, start, end in zip(colors, starts[:-1], starts[1:], strict=True):
        takes = is_found[start:end] & ~own.is_seen
        result.append(VertexColors(torch.where(takes[:, None], of_views[start:end], own.color), own.is_seen))
    return result


def _plain(part: SegmentMesh) -> VertexColors:
    num = len(part.normals)
    return VertexColors(torch.tensor(part.class_color, dtype=torch.uint8).expand(num, 3), torch.zeros(num).bool())


def _colors(part: SegmentMesh, photo: UInt8[Tensor, "3 h w"], camera: Camera) -> VertexColors:
    """The photo's where it shows the vertex; elsewhere those of the same segment continued, in a lighter tone. A segment of
    which nothing is seen has the colour of its class, lighter.
    """
    num = part.num_seen_vertices
    points = part.mesh.vertices.double()
    u = points[:num, 0] / points[:num, 2] * camera.fx_px + camera.cx_px
    v = points[:num, 1] / points[:num, 2] * camera.fy_px + camera.cy_px
    row = (v + 0.5).floor().long().clamp(0, camera.height - 1)
    column = (u + 0.5).floor().long().clamp(0, camera.width - 1)
    seen = photo[:, row, column].T
    hidden = points[num:].numpy()
    if num and len(hidden):
        base = torch.from_numpy(continued_colors(hidden, points[:num].numpy(), seen.double().numpy()))
    else:
        base = torch.tensor(part.class_color, dtype=torch.float64).expand(len(hidden), 3)
    guess = (base * (1 - GUESS_TINT) + 255 * GUESS_TINT).round().to(torch.uint8)
    return VertexColors(torch.cat((seen, guess)), torch.arange(len(points)) < num)
