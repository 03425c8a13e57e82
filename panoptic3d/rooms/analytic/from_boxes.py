"""A room of boxes as a `RoomScene` of triangles: its truth is known by formula, so that it holds the meshes to it."""

import itertools

import numpy as np

from panoptic3d.rooms.analytic.boxes import Box, BoxRoom
from panoptic3d.rooms.scene import Light, Material, Part, RoomScene, TriangleMesh, View
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.taxonomy import FLOOR, WALL

_FACES = np.array(
    [
        *([0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5]),
        *([0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6]),
        *([0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]),
    ],
    np.int32,
)


def scene_from_boxes(room: BoxRoom, seed: int = 0, camera: Camera = FRONT3D_CAMERA) -> RoomScene:
    """Lit by a panel below an open ceiling."""
    shell = np.array([box.half_size_m[:2] for box in room.boxes if box.class_id == FLOOR])[0]
    height_m = max(box.half_size_m[2] for box in room.boxes if box.class_id == WALL) * 2
    x, y = (shell * 0.6).tolist()
    panel = Light(
        "rectangle",
        (9.0, 9.0, 9.0),
        (-x, -y, height_m),
        (0.0, 0.0, -1.0),
        ((2 * x, 0.0, 0.0), (0.0, 2 * y, 0.0)),
    )
    outline = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * shell
    return RoomScene(
        seed=seed,
        room_type="boxes",
        parts=tuple(_part(box) for box in room.boxes),
        lights=(panel,),
        views=(View(camera, room.world_from_camera.numpy()),),
        plan_m=outline.astype(np.float64),
    )


def _part(box: Box) -> Part:
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    faces = _FACES
    flat = [axis for axis in range(3) if box.half_size_m[axis] == 0]
    if flat:  # a rectangle: its two sides are one
        on_one_side = (signs[faces][:, :, flat[0]] == 1).all(axis=1)
        faces = faces[on_one_side]
    red, green, blue = ((value / 255) ** 2.2 for value in box.color)
    is_floor = box.class_id == FLOOR
    material = Material((red, green, blue), "planks" if is_floor else "plain", (red * 0.7, green * 0.7, blue * 0.7))
    mesh = TriangleMesh(
        vertices_m=(signs * np.array(box.half_size_m)).astype(np.float32),
        triangles=faces,
        material_of=np.zeros(len(faces), np.int32),
    )
    return Part(
        name=f"box-{box.instance_id}",
        role="box" if box.is_thing else "shell",
        class_id=box.class_id,
        instance_id=box.instance_id,
        is_thing=box.is_thing,
        mesh=mesh,
        materials=(material,),
        world_from_part=box.world_from_box().numpy(),
        support="floor" if box.is_thing else "shell",
    )
