"""The checks find what is planted, and nothing in a sound room."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from panoptic3d.rooms.checks import check_room
from panoptic3d.rooms.layout import LayoutConfig, make_room
from panoptic3d.rooms.meshes.shapes import Shape, ball, box, lathe
from panoptic3d.rooms.meshes.solids import is_inside, surface_below
from panoptic3d.rooms.scene import Part, RoomScene

_OPTIONS = LayoutConfig(room_type="living", num_views=1)


@pytest.fixture(scope="module")
def room() -> RoomScene:
    return make_room(11, _OPTIONS)


def _sofa(scene: RoomScene) -> int:
    return next(k for k, part in enumerate(scene.parts) if part.role in ("sofa", "corner-sofa"))


def _on_top(scene: RoomScene) -> int:
    return next(k for k, part in enumerate(scene.parts) if part.support == "top")


def _changed(scene: RoomScene, index: int, change: Callable[[np.ndarray], np.ndarray]) -> RoomScene:
    part = scene.parts[index]
    moved = replace(part, world_from_part=change(part.world_from_part.copy()))
    return replace(scene, parts=(*scene.parts[:index], moved, *scene.parts[index + 1 :]))


def _shifted(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    def change(matrix: np.ndarray) -> np.ndarray:
        matrix[:3, 3] += (x, y, z)
        return matrix

    return change


def _kinds(scene: RoomScene, part: Part) -> set[str]:
    return {fault.kind for fault in check_room(scene) if part.name in (fault.part, fault.other)}


def test_a_sound_room_has_no_faults(room: RoomScene) -> None:
    assert check_room(room) == []


@pytest.mark.parametrize(("shift_m", "kind"), [(0.02, "floating"), (-0.02, "sunken")])
def test_what_leaves_the_floor_is_found(room: RoomScene, shift_m: float, kind: str) -> None:
    index = _sofa(room)
    assert kind in _kinds(_changed(room, index, _shifted(z=shift_m)), room.parts[index])


@pytest.mark.parametrize(("shift_m", "kind"), [(0.02, "floating"), (-0.02, "sunken")])
def test_what_leaves_its_top_is_found(room: RoomScene, shift_m: float, kind: str) -> None:
    index = _on_top(room)
    assert kind in _kinds(_changed(room, index, _shifted(z=shift_m)), room.parts[index])


def test_what_stands_beside_its_carrier_floats(room: RoomScene) -> None:
    index = _on_top(room)
    carrier = next(part for part in room.parts if part.instance_id == room.parts[index].stands_on)
    aside = float(np.linalg.norm(np.ptp(carrier.mesh.vertices_m[:, :2], axis=0)))
    assert "floating" in _kinds(_changed(room, index, _shifted(x=aside)), room.parts[index])


def test_upside_down_is_found(room: RoomScene) -> None:
    def flipped(matrix: np.ndarray) -> np.ndarray:
        matrix[:3, 1:3] *= -1
        matrix[2, 3] += float(room.parts[_sofa(room)].mesh.vertices_m[:, 2].max())
        return matrix

    assert "upside-down" in _kinds(_changed(room, _sofa(room), flipped), room.parts[_sofa(room)])


def test_two_in_one_place_are_found(room: RoomScene) -> None:
    index = next(k for k, part in enumerate(room.parts) if part.role in ("coffee-table", "tv-stand", "side-table"))
    twin = replace(room.parts[index], name="twin", instance_id=9999)
    moved = _changed(replace(room, parts=(*room.parts, twin)), len(room.parts), _shifted(x=0.1))
    assert "penetration" in _kinds(moved, room.parts[index])


def test_what_leaves_the_room_is_found(room: RoomScene) -> None:
    index = _sofa(room)
    assert "outside" in _kinds(_changed(room, index, _shifted(x=20.0)), room.parts[index])


def test_a_camera_before_a_thing_is_found(room: RoomScene) -> None:
    part = room.parts[_sofa(room)]
    eye = np.eye(4)
    eye[:3, 3] = part.world_from_part[:3, 3] + (0, 0, 0.5)
    broken = replace(room, views=(replace(room.views[0], world_from_camera=eye),))
    assert any(fault.kind == "camera" for fault in check_room(broken))


def _corners(shape: Shape) -> np.ndarray:
    return shape.vertices_m[shape.triangles]


def test_inside_is_what_the_formula_says() -> None:
    random = np.random.default_rng(0)
    points = random.uniform(-1, 1, (400, 3))
    radius = np.linalg.norm(points, axis=1)
    clear = np.abs(radius - 0.7) > 0.05
    np.testing.assert_array_equal(is_inside(points, _corners(ball(0.7, segments=32)))[clear], (radius < 0.7)[clear])
    boxed = (np.abs(points[:, :2]) < 0.5).all(axis=1) & (np.abs(points[:, 2]) < 0.5)
    np.testing.assert_array_equal(is_inside(points, _corners(box(1, 1, 1, (0, 0, -0.5)))), boxed)


def test_a_bowl_is_hollow() -> None:
    bowl = lathe([(0, 0), (0.2, 0.0), (0.2, 0.1), (0.19, 0.1), (0.19, 0.01), (0, 0.01)], 24)
    inside = is_inside(np.array([[0.0, 0.0, 0.05], [0.195, 0.0, 0.05], [0.05, 0.0, 0.005]]), _corners(bowl))
    np.testing.assert_array_equal(inside, [False, True, True])


def test_the_surface_below_is_the_highest_within_reach() -> None:
    corners = np.concatenate([_corners(box(1, 1, 0.4)), _corners(box(1, 1, 0.1, (0, 0, 1.0)))])
    points = np.array([[0.1, 0.1, 0.6], [0.1, 0.1, 1.2], [0.1, 0.1, 0.39], [3.0, 0.0, 1.0]])
    np.testing.assert_allclose(surface_below(points, corners, 0.02), [0.4, 1.1, 0.4, -np.inf], atol=1e-6)
