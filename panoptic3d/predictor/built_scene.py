"""A scene with its meshes, their colours, and its facts: the input of every file writer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.export.facts import scene_facts, segment_facts
from panoptic3d.export.gltf import GltfNode
from panoptic3d.export.guess import Sight
from panoptic3d.export.two_layers import layered
from panoptic3d.export.up import up_of_floors
from panoptic3d.given import is_finite_number
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.viewer.palette import instance_colors
from panoptic3d.viewer.raster import Fragments, in_front, rasterize

_LEVEL = ("floor", "ceiling")  # stuff that lies level


@dataclass(frozen=True, eq=False)
class BuiltScene:
    """The meshes of a scene with their colours and facts."""

    scene: PanopticScene
    nodes: tuple[GltfNode, ...]
    sight: Sight | None  # what the photo shows, at the pixels of its mesh; None without a photo
    facts: dict[str, Any]

    @cached_property
    def seen(self) -> Fragments:
        """What the photo's camera sees of the meshes."""
        return rasterize(self.vertices_m, self.faces, self.scene.camera)

    @property
    def vertices_m(self) -> Float32[Tensor, "v 3"]:
        return torch.cat([torch.zeros(0, 3), *(node.part.mesh.vertices for node in self.nodes)])

    @property
    def faces(self) -> Int64[Tensor, "f 3"]:
        return _joined_faces([node.part.mesh.faces for node in self.nodes], [len(n.part.normals) for n in self.nodes])


def build_scene(scene: PanopticScene, simplify_vox: float = 0.0) -> BuiltScene:
    """Without a photo every colour is the class's. `simplify_vox` above 0 merges vertices in cubes of that side."""
    photo = scene.photo
    if photo is not None and tuple(photo.shape[1:]) != (scene.camera.height, scene.camera.width):
        size = f"{scene.camera.width}x{scene.camera.height}"
        raise InputError(
            f"the photo is {photo.shape[2]}x{photo.shape[1]} and the scene's camera {size}; they must agree."
        )
    if not (is_finite_number(simplify_vox) and simplify_vox >= 0):
        raise InputError(f"meshes cannot be simplified to {simplify_vox!r} voxels; give 0 (not at all) or more.")
    layers = layered(scene, simplify_vox, lambda *mesh: rasterize(*mesh).depth_m, in_front)
    nodes = []
    for whole, part, colors in zip(layers.volume, layers.parts, layers.colors, strict=True):
        instance_id = part.segment.instance_id if part.segment else 0
        r, g, b = instance_colors(torch.tensor([instance_id]))[0].tolist() if instance_id else part.class_color
        nodes.append(GltfNode(part, colors, segment_facts(whole, scene, (r, g, b))))
    segments = [node.extras for node in nodes if node.part.segment is not None]
    floors = [
        (p.mesh.vertices, p.mesh.faces)
        for p in layers.parts
        if p.segment and not p.segment.is_thing and p.name in _LEVEL
    ]
    return BuiltScene(scene, tuple(nodes), layers.sight, scene_facts(scene, segments, up_of_floors(floors)))


def _joined_faces(faces: Sequence[Tensor], num_vertices: Sequence[int]) -> Tensor:
    starts = torch.tensor([0, *num_vertices]).cumsum(0)[:-1].tolist()
    return torch.cat(
        [torch.zeros(0, 3, dtype=torch.long), *(f + start for f, start in zip(faces, starts, strict=True))]
    )
