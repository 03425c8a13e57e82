"""The surfaces of a scene for Python: the meshes of scene.glb and the boxes of scene.json, by the names of the segments."""

from panoptic3d.predictor.built_scene import build_scene
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_check import check_scene
from panoptic3d.structures.surface_mesh import Point, SceneSurfaces, SurfaceMesh


def scene_surfaces(scene: PanopticScene) -> SceneSurfaces:
    """Surface that no segment owns is left out."""
    check_scene(scene)
    meshes: dict[str, SurfaceMesh] = {}
    boxes: dict[str, tuple[Point, Point] | None] = {}
    for node in build_scene(scene).nodes:
        if node.part.segment is not None:
            part, colors = node.part, node.colors
            meshes[part.name] = SurfaceMesh(
                part.mesh.vertices, part.mesh.faces, part.normals, colors.color.contiguous(), colors.is_seen
            )
            low, high = node.extras["box_min_m"], node.extras["box_max_m"]
            boxes[part.name] = None if low is None else (_point(low), _point(high))
    return SceneSurfaces(meshes, boxes)


def _point(values: list[float]) -> Point:
    x, y, z = values
    return (x, y, z)
