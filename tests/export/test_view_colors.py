"""What one photo does not show and another one does takes its colour from that."""

from dataclasses import replace

import torch

from panoptic3d.export.view_colors import colors_from_views
from panoptic3d.predictor.built_scene import build_scene
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import View
from panoptic3d.viewer.raster import rasterize
from tests.predictor.fusion.worlds import Box, looking_at, perfect_scene

_CAMERA = Camera.from_fov(60.0, width=32, height=24)


def _view(x_m: float, color: int) -> View:
    """From 1 m before the plane z = 2, at x, looking straight on."""
    pose = torch.eye(4, dtype=torch.float64)
    pose[0, 3], pose[2, 3] = x_m, 1.0
    return View(_CAMERA, pose, torch.full((3, 24, 32), color, dtype=torch.uint8))


def test_the_view_that_sees_best_decides_and_what_is_hidden_has_none() -> None:
    wall = torch.tensor([[-2.0, -1, 2], [2, -1, 2], [2, 1, 2], [-2, 1, 2], [-0.3, 0, 2], [0.5, 0, 2], [0.3, 0, 3]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    normals = torch.tensor([[0.0, 0, -1]]).expand(7, 3)
    color, is_found = colors_from_views(
        wall, normals, faces, [_view(-0.3, 50), _view(0.4, 200)], lambda *mesh: rasterize(*mesh).depth_m
    )
    assert color[4:6, 0].tolist() == [50, 200]
    assert is_found[4:].tolist() == [True, True, False]


def test_a_scene_of_several_photos_is_built_with_their_colours() -> None:
    """The back of a box has the colour of the photo that was taken from there."""
    boxes = (Box((-0.4, 0.3, -0.4), (0.4, 1.0, 0.4)),)
    poses = [looking_at((0, 0.7, 0), (0, 0.2, -1.9)), looking_at((0, 0.7, 0), (0, 0.2, 1.9))]
    scene = perfect_scene(boxes, poses[0])
    photos = [torch.full((3, 48, 64), value, dtype=torch.uint8) for value in (10, 240)]
    views = tuple(
        View(scene.camera, torch.linalg.inv(poses[0]) @ pose, photo) for pose, photo in zip(poses, photos, strict=True)
    )
    alone = build_scene(replace(scene, photo=photos[0]))
    both = build_scene(replace(scene, photo=photos[0], views=views))
    colors = [torch.cat([node.colors.color for node in built.nodes]) for built in (alone, both)]
    assert not bool((colors[0] == 240).all(dim=1).any())
    assert bool((colors[1] == 240).all(dim=1).any())
