"""Class and instance of the pixels of any camera: what the meshes of a scene show there.

Meshes and not voxels: the first voxel of the shell stands 3 cm before the surface and makes every silhouette too large.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64, Int32, Int64, UInt8
from torch import Tensor

from panoptic3d.export.segments import segment_meshes
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import PanopticScene

FaceOfPixels = Callable[[Tensor, Tensor, Camera], Int64[Tensor, "h w"]]  # -1 where no face is


@dataclass(frozen=True, eq=False)
class ScenePixels:
    """The meshes of a scene, ready to be looked at by one camera after another."""

    vertices_m: Float32[Tensor, "v 3"]
    faces: Int64[Tensor, "f 3"]
    semantic: UInt8[Tensor, " f1"]  # of each face; the last entry is void
    instance: Int32[Tensor, " f1"]

    @classmethod
    def of(cls, scene: PanopticScene) -> "ScenePixels":
        vertices, faces, semantic, instance, start = [torch.zeros(0, 3)], [torch.zeros(0, 3).long()], [], [], 0
        for part in segment_meshes(scene):
            own = part.mesh
            vertices.append(own.vertices)
            faces.append(own.faces + start)
            start += len(own.vertices)
            class_id, number = (part.segment.class_id, part.segment.instance_id) if part.segment else (0, 0)
            semantic += [class_id] * len(own.faces)
            instance += [number] * len(own.faces)
        return cls(
            torch.cat(vertices),
            torch.cat(faces),
            torch.tensor([*semantic, 0], dtype=torch.uint8),
            torch.tensor([*instance, 0], dtype=torch.int32),
        )

    def seen_by(
        self, camera: Camera, scene_from_camera: Float64[Tensor, "4 4"], face_of_pixels: FaceOfPixels
    ) -> tuple[UInt8[Tensor, "h w"], Int32[Tensor, "h w"]]:
        """Void where nothing is."""
        inverse = torch.linalg.inv(scene_from_camera)
        points = self.vertices_m.double() @ inverse[:3, :3].T + inverse[:3, 3]
        face = face_of_pixels(points.float(), self.faces, camera)
        return self.semantic[face], self.instance[face]


def pooled(labels: Sequence[tuple[Tensor, Tensor]]) -> tuple[Int64[Tensor, " n"], Int64[Tensor, " n"]]:
    """The pixels of several pictures as one list."""
    classes, ids = ([label[side].long().flatten() for label in labels] for side in (0, 1))
    return torch.cat(classes), torch.cat(ids)
