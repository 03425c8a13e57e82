"""A room of boxes: the simplest scene with every part of a real sample, its truth exact by formula.

It is the data of our tests and of the demo, and the law that the mesh-based generator is held to. Furniture are upright
boxes of plausible sizes; walls and floor are rectangles. Nothing is read from disk: a seed gives the same room anywhere.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from panoptic3d.geometry.distance import distance_to_box_surface
from panoptic3d.geometry.frustum import frustum_mask
from panoptic3d.geometry.pinhole import pixel_grid, unproject
from panoptic3d.geometry.visibility import is_occluded
from panoptic3d.geometry.weighting import loss_weight
from panoptic3d.randomness import numpy_generator
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.frame import DenseFrame
from panoptic3d.structures.grid import FRONT3D_GRID, VoxelGrid
from panoptic3d.structures.sample import FAR_VOX, LABEL_BAND_VOX
from panoptic3d.structures.taxonomy import BED, CABINET, CHAIR, DESK, FLOOR, LAMP, SOFA, TABLE, WALL

STORED_UP_TO_VOX = 8.0  # the release stores distances up to here and `FAR_VOX` beyond
CAMERA_HEIGHT_M = 0.75
_FIRST_THING_ID = 150
_FIRST_WALL_ID, _FLOOR_ID = 40, 8

# Typical width, depth and height in metres, and a colour.
_FURNITURE: dict[int, tuple[tuple[float, float, float], tuple[int, int, int]]] = {
    CABINET: ((0.9, 0.45, 1.1), (150, 111, 77)),
    BED: ((1.6, 2.0, 0.5), (188, 198, 214)),
    CHAIR: ((0.5, 0.5, 0.85), (96, 74, 58)),
    SOFA: ((1.8, 0.85, 0.7), (104, 122, 108)),
    TABLE: ((1.0, 0.6, 0.45), (176, 141, 98)),
    DESK: ((1.3, 0.6, 0.75), (121, 85, 61)),
    LAMP: ((0.35, 0.35, 1.5), (226, 205, 150)),
}
_WALL_COLOR, _FLOOR_COLOR = (226, 222, 214), (170, 148, 122)
_LIGHT = np.array([0.35, -0.6, 0.72])  # towards the light, world frame


@dataclass(frozen=True)
class Box:
    """An upright box in the world frame (z up, metres), turned about the vertical axis. A half size of 0: a rectangle."""

    centre_m: tuple[float, float, float]
    half_size_m: tuple[float, float, float]
    yaw_rad: float
    class_id: int
    instance_id: int  # as in a segmap, where walls and floor have ids too
    is_thing: bool
    color: tuple[int, int, int]

    def world_from_box(self) -> Float64[Tensor, "4 4"]:
        cos, sin = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        matrix = torch.eye(4, dtype=torch.float64)
        matrix[:2, :2] = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
        matrix[:3, 3] = torch.tensor(self.centre_m, dtype=torch.float64)
        return matrix


@dataclass(frozen=True)
class BoxRoom:
    boxes: tuple[Box, ...]
    world_from_camera: Float64[Tensor, "4 4"]


def random_room(seed: int, num_things: int | None = None) -> BoxRoom:
    """A rectangular room with a level camera near one wall that looks across it."""
    random = numpy_generator(seed, "box room")
    width_m, depth_m, height_m = random.uniform(3.2, 4.6), random.uniform(3.4, 5.0), random.uniform(3.3, 3.6)
    count = int(random.integers(2, 6)) if num_things is None else num_things
    boxes = [*_shell(width_m, depth_m, height_m), *_furniture(random, width_m, depth_m, count)]
    eye = np.array([random.uniform(-0.25, 0.25) * width_m, 0.25 - depth_m / 2, CAMERA_HEIGHT_M])
    yaw = random.uniform(-0.3, 0.3)
    return BoxRoom(tuple(boxes), _level_camera(eye, yaw))


def render(room: BoxRoom, camera: Camera = FRONT3D_CAMERA, grid: VoxelGrid = FRONT3D_GRID, seed: int = 0) -> DenseFrame:
    """The frame that the room's camera sees: photo, depth, labels and volumes."""
    hit, depth_m, normal, local = _cast(room, camera)
    semantic_of = torch.tensor([box.class_id for box in room.boxes], dtype=torch.uint8)
    instance_of = torch.tensor([box.instance_id for box in room.boxes], dtype=torch.int32)
    thing_of = torch.tensor([box.is_thing for box in room.boxes])
    size = (camera.width, camera.height)
    mask = frustum_mask(camera.intrinsics, size, grid.shape, grid.voxel_size_m, grid.camera_index)
    coords = mask.nonzero()
    distance, owner = _field(room, grid, coords)
    distance = torch.where(distance <= STORED_UP_TO_VOX, distance, FAR_VOX)
    is_labelled = distance < LABEL_BAND_VOX
    occluded = is_occluded(grid.camera_from_index(coords.float()), depth_m, camera.intrinsics.float())
    instance = torch.where(is_labelled & thing_of[owner], instance_of[owner], 0)

    def volume(values: Tensor, fill: float | int) -> Tensor:
        return values.new_full(grid.shape, fill).masked_scatter_(mask, values)

    return DenseFrame(
        image=_shade(room, hit, normal, local, seed),
        camera=camera,
        world_from_camera=room.world_from_camera,
        depth_m=depth_m,
        semantic_2d=semantic_of[hit],
        instance_2d=instance_of[hit],
        grid=grid,
        frustum_mask=mask,
        distance_vox=volume(distance, FAR_VOX),
        semantic=volume(torch.where(is_labelled, semantic_of[owner], 0).to(torch.uint8), 0),
        instance=volume(instance, 0),
        weight=volume(loss_weight(distance, occluded, torch.ones_like(occluded)), 1),
    )


def _shell(width_m: float, depth_m: float, height_m: float) -> list[Box]:
    half_w, half_d, half_h = width_m / 2, depth_m / 2, height_m / 2
    planes = [
        ((0.0, half_d, half_h), (half_w, 0.0, half_h)),
        ((-half_w, 0.0, half_h), (0.0, half_d, half_h)),
        ((half_w, 0.0, half_h), (0.0, half_d, half_h)),
        ((0.0, -half_d, half_h), (half_w, 0.0, half_h)),
    ]
    walls = [
        Box(centre, half, 0.0, WALL, _FIRST_WALL_ID + number, False, _WALL_COLOR)
        for number, (centre, half) in enumerate(planes)
    ]
    return [*walls, Box((0.0, 0.0, 0.0), (half_w, half_d, 0.0), 0.0, FLOOR, _FLOOR_ID, False, _FLOOR_COLOR)]


def _furniture(random: np.random.Generator, width_m: float, depth_m: float, count: int) -> list[Box]:
    """Boxes that stand on the floor, clear of the walls, of the camera and of each other."""
    placed: list[Box] = []
    for _ in range(60 * count):
        if len(placed) == count:
            break
        class_id = int(random.choice(list(_FURNITURE)))
        size, color = _FURNITURE[class_id]
        half = np.array(size) / 2 * random.uniform(0.85, 1.15, 3)
        yaw = float(random.choice([0.0, math.pi / 2]) + random.uniform(-0.12, 0.12))
        reach = float(np.hypot(half[0], half[1]))
        low, high = np.array([-width_m / 2, 0.9 - depth_m / 2]) + reach, np.array([width_m, depth_m]) / 2 - reach
        if (low >= high).any():
            continue
        x, y = random.uniform(low, high)
        is_free = all(
            math.hypot(x - b.centre_m[0], y - b.centre_m[1]) > reach + math.hypot(*b.half_size_m[:2]) for b in placed
        )
        if is_free:
            tint = tuple(int(c) for c in np.clip(np.array(color) + random.integers(-18, 19, 3), 0, 255))
            half_size = (float(half[0]), float(half[1]), float(half[2]))
            number = _FIRST_THING_ID + len(placed)
            centre = (float(x), float(y), half_size[2])
            placed.append(Box(centre, half_size, yaw, class_id, number, True, (tint[0], tint[1], tint[2])))
    return placed


def _level_camera(eye_m: np.ndarray, yaw_rad: float) -> Float64[Tensor, "4 4"]:
    """world_from_camera of a level camera that looks along +y turned by yaw."""
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    right, down, forward = (cos, sin, 0.0), (0.0, 0.0, -1.0), (-sin, cos, 0.0)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = torch.tensor([right, down, forward], dtype=torch.float64).T
    matrix[:3, 3] = torch.from_numpy(np.asarray(eye_m, dtype=np.float64))
    return matrix


def _box_from_camera(room: BoxRoom, box: Box) -> Float64[Tensor, "4 4"]:
    return torch.linalg.inv(box.world_from_box()) @ room.world_from_camera


def _cast(room: BoxRoom, camera: Camera) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Per pixel: the box that it shows, planar depth in metres, surface normal in the box, and point in the box."""
    height, width = camera.height, camera.width
    pixels = pixel_grid(height, width, dtype=torch.float64).view(-1, 2)
    rays = unproject(pixels, pixels.new_ones(len(pixels)), camera.intrinsics)  # depth 1: the parameter is the depth
    best = rays.new_full((len(rays),), math.inf)
    hit = torch.zeros(len(rays), dtype=torch.long)
    normal, local = torch.zeros_like(rays), torch.zeros_like(rays)
    for number, box in enumerate(room.boxes):
        matrix = _box_from_camera(room, box)
        origin, direction = matrix[:3, 3], rays @ matrix[:3, :3].T
        safe = torch.where(direction.abs() < 1e-12, 1e-12, direction)
        half = rays.new_tensor(box.half_size_m)
        first, second = (-half - origin) / safe, (half - origin) / safe
        enter, leave = torch.minimum(first, second), torch.maximum(first, second)
        near, axis = enter.max(dim=1)
        is_hit = (near <= leave.amin(dim=1)) & (near > 1e-6) & (near < best)
        best = torch.where(is_hit, near, best)
        hit = torch.where(is_hit, number, hit)
        facing = torch.nn.functional.one_hot(axis, 3).double() * -direction.sign()
        normal = torch.where(is_hit[:, None], facing, normal)
        local = torch.where(is_hit[:, None], origin + near[:, None] * direction, local)
    depth = torch.where(best.isfinite(), best, 0.0).float()
    return hit.view(height, width), depth.view(height, width), normal, local


def _field(
    room: BoxRoom, grid: VoxelGrid, coords: Int64[Tensor, "n 3"]
) -> tuple[Float32[Tensor, " n"], Int64[Tensor, " n"]]:
    """Distance in voxels of each grid point to the nearest surface (far ones are infinite) and whose surface it is."""
    distance = torch.full((len(coords),), math.inf)
    owner = torch.zeros(len(coords), dtype=torch.long)
    for number, box in enumerate(room.boxes):
        box_from_camera = _box_from_camera(room, box)
        low, high = _window(torch.linalg.inv(box_from_camera), box, grid)
        chosen = ((coords >= low) & (coords <= high)).all(dim=1).nonzero().squeeze(1)
        points_m = grid.camera_from_index(coords[chosen].float())
        local = points_m @ box_from_camera[:3, :3].T.float() + box_from_camera[:3, 3].float()
        own = distance_to_box_surface(local, local.new_tensor(box.half_size_m)) / grid.voxel_size_m
        is_nearer = own < distance[chosen]
        owner[chosen[is_nearer]] = number
        distance[chosen[is_nearer]] = own[is_nearer]
    return distance, owner


def _window(
    camera_from_box: Float64[Tensor, "4 4"], box: Box, grid: VoxelGrid
) -> tuple[Int64[Tensor, "3"], Int64[Tensor, "3"]]:
    """Lowest and highest grid index that can lie within the stored distance of the box."""
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3)), dtype=torch.float64)
    corners = signs * torch.tensor(box.half_size_m, dtype=torch.float64)
    index = grid.index_from_camera(corners @ camera_from_box[:3, :3].T + camera_from_box[:3, 3])
    low = (index.amin(dim=0) - STORED_UP_TO_VOX).floor().long()
    return low, (index.amax(dim=0) + STORED_UP_TO_VOX).ceil().long()


def _shade(room: BoxRoom, hit: Tensor, normal: Tensor, local: Tensor, seed: int) -> Tensor:
    """A plain picture: Lambert light, a checked floor, a little noise."""
    height, width = hit.shape
    flat = hit.view(-1)
    rotation = torch.stack([box.world_from_box()[:3, :3] for box in room.boxes])[flat]
    world_normal = (rotation @ normal[:, :, None]).squeeze(-1)
    light = 0.5 + 0.5 * (world_normal @ torch.from_numpy(_LIGHT)).clamp(min=0)
    color = torch.tensor([box.color for box in room.boxes], dtype=torch.float64)[flat]
    is_floor = torch.tensor([box.class_id == FLOOR for box in room.boxes])[flat]
    is_dark = is_floor & ((local[:, 0] / 0.4).floor() + (local[:, 1] / 0.4).floor()).remainder(2).bool()
    color = color * light[:, None] * torch.where(is_dark, 0.9, 1.0)[:, None]
    noise = torch.from_numpy(numpy_generator(seed, "photo noise").normal(0.0, 1.5, color.shape))
    return (color + noise).round().clamp(0, 255).to(torch.uint8).T.reshape(3, height, width).contiguous()
