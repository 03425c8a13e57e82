"""A photo in coarse cells: where weights of its pixels are learned, kept, and looked up."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.predictor.canonical import seen_by
from panoptic3d.predictor.network import PipelineNetwork, SceneNetwork
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.pixel_map import PixelMap
from panoptic3d.structures.scene import PanopticScene

_LONGER_SIDE = 80  # cells: 4 pixels of a photo of 320 x 240
_STEP_VOX = 0.5  # of a ray


@dataclass(frozen=True)
class PhotoCells:
    width: int
    height: int
    from_photo: PixelMap

    @classmethod
    def of(cls, camera: Camera) -> "PhotoCells":
        share = min(1.0, _LONGER_SIDE / max(camera.width, camera.height))
        width, height = (max(1, round(size * share)) for size in (camera.width, camera.height))
        return cls(width, height, PixelMap.resized((camera.width, camera.height), (width, height)))

    def pixels(self, way: PixelMap) -> tuple[Float64[np.ndarray, " w"], Float64[np.ndarray, " h"]]:
        """Columns and rows of the middles of the cells, in the picture to which `way` leads from the photo."""
        (sx, sy), (tx, ty) = (self.from_photo.inverse().then(way).scale, self.from_photo.inverse().then(way).shift)
        return np.arange(self.width) * sx + tx, np.arange(self.height) * sy + ty

    def rays(self, camera: Camera) -> Float64[np.ndarray, "n 3"]:
        """Through the middles of the cells, row by row, with z = 1."""
        column, row = self.pixels(PixelMap((1.0, 1.0), (0.0, 0.0)))
        x, y = np.meshgrid((column - camera.cx_px) / camera.fx_px, (row - camera.cy_px) / camera.fy_px)
        return np.stack((x.ravel(), y.ravel(), np.ones(x.size)), axis=1)

    def cell_of(self, points_m: Float64[np.ndarray, "n 3"], camera: Camera) -> Int64[np.ndarray, " n"]:
        """The cell, row by row, that shows each point of the frustum."""
        (sx, sy), (tx, ty) = self.from_photo.scale, self.from_photo.shift
        u = points_m[:, 0] / points_m[:, 2] * camera.fx_px + camera.cx_px
        v = points_m[:, 1] / points_m[:, 2] * camera.fy_px + camera.cy_px
        column, row = (np.floor(at + 0.5).astype(np.int64) for at in (u * sx + tx, v * sy + ty))
        return np.clip(row, 0, self.height - 1) * self.width + np.clip(column, 0, self.width - 1)


@torch.inference_mode()
def trunk_features(scene: PanopticScene, network: SceneNetwork) -> Float32[Tensor, "h w c"]:
    """The frozen trunk's maps of stride 8 and 16 at the cells of the scene's photo."""
    if not isinstance(network, PipelineNetwork):
        raise InputError("learned weights need the trunk of one of our checkpoints, and this network has none.")
    if scene.photo is None:
        raise InputError("learned weights look at the photos, and a scene has none; predict it again.")
    view = seen_by(scene.photo, scene.camera, network.view_of(scene.camera))
    fitted = network.pipeline.fit(view.image[None].to(network.device), (view.camera,))
    pyramid = network.pipeline.trunk(fitted.pixels)
    cells, way = PhotoCells.of(scene.camera), view.from_photo.then(fitted.from_photo)
    height, width = fitted.pixels.shape[-2:]
    column, row = cells.pixels(way)
    x, y = np.meshgrid((2 * column + 1) / width - 1, (2 * row + 1) / height - 1)
    place = torch.from_numpy(np.stack((x, y), axis=-1)).float()[None].to(network.device)
    maps = [
        F.normalize(F.grid_sample(level.float(), place, padding_mode="border", align_corners=False), dim=1)
        for level in (pyramid.stride8, pyramid.stride16)
    ]
    return torch.cat(maps, dim=1)[0].permute(1, 2, 0).cpu().clone()


def first_hit(
    is_surface: Bool[np.ndarray, "x y z"],
    grid: VoxelGrid,
    scene_from_camera: Float64[np.ndarray, "4 4"],
    rays: Float64[np.ndarray, "n 3"],
    near_m: float,
    far_m: float,
) -> tuple[Float64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Depth along the axis and flat index of the first voxel of a surface on each ray; infinite and 0 where there is none."""
    depth = np.arange(near_m, far_m, _STEP_VOX * grid.voxel_size_m)
    turned = rays @ scene_from_camera[:3, :3].T / grid.voxel_size_m
    start = scene_from_camera[:3, 3] / grid.voxel_size_m + np.array(grid.camera_index)
    found, index = np.full(len(rays), np.inf), np.zeros(len(rays), np.int64)
    flat, shape = is_surface.ravel(), np.array(is_surface.shape)
    open_rays = np.arange(len(rays))
    for z in depth:
        at = np.floor(start + z * turned[open_rays] + 0.5).astype(np.int64)
        inside = ((at >= 0) & (at < shape)).all(axis=1)
        place = np.where(inside, (at[:, 0] * shape[1] + at[:, 1]) * shape[2] + at[:, 2], 0)
        is_hit = inside & flat[place]
        found[open_rays[is_hit]], index[open_rays[is_hit]] = z, place[is_hit]
        open_rays = open_rays[~is_hit]
    return found, index
