"""A seed makes one room, byte for byte."""

import hashlib

import numpy as np
import pytest

from panoptic3d.rooms.checks import check_room
from panoptic3d.rooms.layout import LayoutConfig, make_room
from panoptic3d.rooms.scene import RoomScene
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.taxonomy import CEILING, FLOOR, FRONT3D_TAXONOMY, WALL

_SMALL = LayoutConfig(room_type="dining", num_views=2, richness=0.2)


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
    return make_room(3, _SMALL)


def test_one_integer_gives_one_room(room: RoomScene) -> None:
    assert _digest(room) == _digest(make_room(3, _SMALL))
    assert _digest(room) != _digest(make_room(4, _SMALL))


@pytest.mark.slow
def test_a_whole_room_is_the_same_whatever_was_made_before() -> None:
    first = _digest(make_room(5))
    np.random.default_rng(0).random(7)
    make_room(6)
    assert _digest(make_room(5)) == first


@pytest.mark.slow
@pytest.mark.parametrize("room_type", ["bedroom", "child", "living", "dining", "study", "kitchen", "studio"])
def test_every_type_has_its_main_furniture_and_no_faults(room_type: str) -> None:
    main = {
        "bedroom": "bed",
        "child": "bed",
        "living": "sofa",
        "dining": "table",
        "study": "desk",
        "kitchen": "cabinet",
    }
    for seed in range(2):
        scene = make_room(seed, LayoutConfig(room_type=room_type, num_views=3))
        names = {FRONT3D_TAXONOMY[part.class_id].name for part in scene.parts}
        assert main.get(room_type, "bed") in names
        assert check_room(scene) == []


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["rectangle", "l-shape", "niches", "columns"])
def test_rays_do_not_leave_the_shell(plan: str) -> None:
    """From a camera every direction meets a surface: walls, openings, floor and ceiling close up."""
    pytest.importorskip("embreex", reason="needs embreex to cast rays")
    from embreex import rtcore_scene
    from embreex.mesh_construction import TriangleMesh as EmbreeMesh

    for seed in range(3):
        scene = make_room(seed, LayoutConfig(plan=plan, num_views=1))
        corners = np.concatenate(
            [
                (p.mesh.vertices_m @ p.world_from_part[:3, :3].T + p.world_from_part[:3, 3])[p.mesh.triangles]
                for p in scene.parts
            ]
        )
        caster = rtcore_scene.EmbreeScene()
        EmbreeMesh(caster, corners.astype(np.float32))
        ways = np.random.default_rng(seed).normal(size=(60_000, 3)).astype(np.float32)
        eyes = np.broadcast_to(scene.views[0].world_from_camera[:3, 3], ways.shape).astype(np.float32)
        assert (caster.run(eyes, ways, query="INTERSECT") >= 0).all()


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
    assert len(room.views) == _SMALL.num_views
    for view in room.views:
        assert view.camera == FRONT3D_CAMERA
        matrix = view.world_from_camera
        assert matrix[2, 3] == pytest.approx(0.75)
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-8)
        assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1.0)
        np.testing.assert_allclose(matrix[:3, 1], (0, 0, -1), atol=1e-9)  # the image's down is the world's down
