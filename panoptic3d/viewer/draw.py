"""Pictures of textured meshes with smooth shading: what preview.png shows."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor

from panoptic3d.structures.camera import Camera
from panoptic3d.viewer.raster import rasterize

SKY = (233, 237, 241)
_LIGHT_OF_PHOTO = 0.25  # a photo has its own shading; the rest of a surface needs some


@dataclass(frozen=True, eq=False)
class Drawable:
    """Camera frame, metres. Faces that the photo shows take their colour from it."""

    vertices_m: Float32[Tensor, "v 3"]
    normals: Float32[Tensor, "v 3"]
    colors: UInt8[Tensor, "v 3"]
    faces: Int64[Tensor, "f 3"]
    is_seen: Bool[Tensor, " f"]
    is_stuff: Bool[Tensor, " f"]
    is_ceiling: Bool[Tensor, " f"]
    is_doubtful: Bool[Tensor, " f"]  # the guess of a thing of which the network is not sure
    photo: UInt8[Tensor, "3 h w"]
    camera: Camera

    def chosen(self, mask: Bool[Tensor, " f"]) -> "Drawable":
        return Drawable(
            self.vertices_m,
            self.normals,
            self.colors,
            self.faces[mask],
            self.is_seen[mask],
            self.is_stuff[mask],
            self.is_ceiling[mask],
            self.is_doubtful[mask],
            self.photo,
            self.camera,
        )


@dataclass(frozen=True, eq=False)
class Pose:
    """`view = turn @ (point - eye)`."""

    turn: Float32[Tensor, "3 3"]
    eye: Float32[Tensor, "3"]

    def of(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return (points - self.eye) @ self.turn.T


def looking(forward: Float[Tensor, "3"], up: Float[Tensor, "3"], eye: Float[Tensor, "3"]) -> Pose:
    ahead = torch.nn.functional.normalize(forward, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(ahead, up), dim=0)
    return Pose(torch.stack((right, torch.linalg.cross(ahead, right), ahead)).float(), eye.float())


def draw(mesh: Drawable, camera: Camera, pose: Pose, *, is_lit: bool = True) -> UInt8[Tensor, "h w 3"]:
    moved = pose.of(mesh.vertices_m)
    fragments = rasterize(moved, mesh.faces, camera)
    hit = fragments.face >= 0
    face, depth = fragments.face[hit], fragments.depth_m[hit]
    corners = mesh.faces[face]
    rows, columns = hit.nonzero().unbind(1)
    ray = torch.stack(((columns - camera.cx_px) / camera.fx_px, (rows - camera.cy_px) / camera.fy_px), dim=1)
    point = torch.cat((ray * depth[:, None], depth[:, None]), dim=1)
    shares = _shares(moved[corners], point)[..., None]
    color = (mesh.colors[corners].float() * shares).sum(dim=1)
    seen = mesh.is_seen[face]
    place = (mesh.vertices_m[corners] * shares).sum(dim=1)
    color[seen] = _of_photo(mesh, place[seen])
    if is_lit:
        normal = torch.nn.functional.normalize((mesh.normals[corners] * shares).sum(dim=1), dim=1)
        view = torch.nn.functional.normalize(pose.eye - place, dim=1)
        facing = (normal * view).sum(dim=1).abs()
        weight = torch.where(seen, _LIGHT_OF_PHOTO, 0.6)
        color = color * (1 - weight + weight * facing)[:, None]
    picture = torch.tensor(SKY, dtype=torch.uint8).expand(camera.height, camera.width, 3).clone()
    picture[hit] = color.clamp(0, 255).round().to(torch.uint8)
    return picture


def facing(mesh: Drawable, pose: Pose, *, is_parallel: bool) -> Bool[Tensor, " f"]:
    """Faces that stay where walls are seen through from behind: things, and stuff that turns towards the eye."""
    a, b, c = mesh.vertices_m[mesh.faces].unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    way = -pose.turn[2].expand(len(normal), 3) if is_parallel else pose.eye - a
    return ~mesh.is_stuff | ((normal * way).sum(dim=1) > 0)


def _shares(corners: Float32[Tensor, "n 3 3"], point: Float32[Tensor, "n 3"]) -> Float32[Tensor, "n 3"]:
    a, b, c = corners.unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    area = (normal * normal).sum(dim=1).clamp(min=1e-20)
    first = (torch.linalg.cross(c - b, point - b) * normal).sum(dim=1) / area
    second = (torch.linalg.cross(a - c, point - c) * normal).sum(dim=1) / area
    return torch.stack((first, second, 1 - first - second), dim=1).clamp(-0.5, 1.5)


def _of_photo(mesh: Drawable, points: Float32[Tensor, "n 3"]) -> Float32[Tensor, "n 3"]:
    camera, depth = mesh.camera, points[:, 2].clamp(min=1e-6)
    u = (points[:, 0] / depth * camera.fx_px + camera.cx_px + 0.5).floor().long().clamp(0, camera.width - 1)
    v = (points[:, 1] / depth * camera.fy_px + camera.cy_px + 0.5).floor().long().clamp(0, camera.height - 1)
    return mesh.photo[:, v, u].T.float()
