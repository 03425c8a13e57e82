"""A seed makes one room, byte for byte."""

import hashlib

import numpy as np
import pytest

from panoptic3d.rooms.layout import LayoutConfig, make_room
from panoptic3d.rooms.scene import RoomScene
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.taxonomy import CEILING, FLOOR, WALL


def _digest(scene: RoomScene) -> str:
    whole = hashlib.sha256(repr((scene.room_type, scene.lights, scene.sky, scene.facts)).encode())
    for part in scene.parts:
        whole.update(repr((part.name, part.class_id, part.instance_id, part.materials, part.stands_on)).encode())
        for array in (part.mesh.vertices_m, part.mesh.triangles, part.mesh.material_of, part.world_from_part):
            whole.update(np.ascontiguousarray(array).tobytes())
    for view in scene.views:
        whole.update(view.world_from_camera.tobytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def room() -> RoomScene:
    return make_room(3)


def test_one_integer_gives_one_room(room: RoomScene) -> None:
    assert _digest(room) == _digest(make_room(3))
    assert _digest(room) != _digest(make_room(4))


def test_ids_are_unique_and_the_shell_is_whole(room: RoomScene) -> None:
    ids = [part.instance_id for part in room.parts]
    assert min(ids) > 0
    assert len(set(ids)) == len(ids)
    assert [
        sum(part.class_id == c and part.role == role for part in room.parts)
        for c, role in ((FLOOR, "floor"), (CEILING, "ceiling"))
    ] == [1, 1]
    assert sum(part.role == "wall" for part in room.parts) == len(room.plan_m)
    assert all(not part.is_thing for part in room.parts if part.class_id in (FLOOR, CEILING, WALL))


def test_views_are_the_releases(room: RoomScene) -> None:
    assert len(room.views) == LayoutConfig().num_views
    for view in room.views:
        assert view.camera == FRONT3D_CAMERA
        matrix = view.world_from_camera
        assert matrix[2, 3] == pytest.approx(0.75)
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-8)
        assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1.0)
        np.testing.assert_allclose(matrix[:3, 1], (0, 0, -1), atol=1e-9)  # the image's down is the world's down
