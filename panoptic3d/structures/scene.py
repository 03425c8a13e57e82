"""The panoptic scene: what every method's decoder makes, what is saved, shown and scored."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int32, UInt8
from torch import Tensor

import panoptic3d  # whose public functions do the work of `save`: they load their home, floors above, on first use
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import FRONT3D_GRID, VoxelGrid
from panoptic3d.structures.pixel_map import DepthMap
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, VoxelTruth
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy


@dataclass(frozen=True)
class Segment:
    """A thing, or all of one stuff class."""

    name: str  # unique in its scene, such as `chair-3`
    class_id: int
    instance_id: int  # 0 for stuff
    is_thing: bool
    score: float | None  # None where nobody scored it, as in ground truth
    num_voxels: int  # with distance below `SURFACE_ISO_VOX`


SURFACE_ISO_VOX = 1.0


@dataclass(frozen=True, eq=False)
class View:
    """One of several photos that a scene was made of."""

    camera: Camera
    scene_from_camera: Float64[Tensor, "4 4"]
    photo: UInt8[Tensor, "3 h w"] | None = None


@dataclass(frozen=True, eq=False)
class PanopticScene:
    """Camera aligned volumes of one grid: contract of `scene.npz` in docs/formats.md."""

    distance_vox: Float[Tensor, "x y z"]  # unsigned, truncated at 3
    semantic: UInt8[Tensor, "x y z"]  # 0 = free or void
    instance: Int32[Tensor, "x y z"]  # 0 for stuff and free space
    camera: Camera
    grid: VoxelGrid = FRONT3D_GRID
    taxonomy: Taxonomy = FRONT3D_TAXONOMY
    scores: dict[int, float] = field(default_factory=dict)  # instance id -> confidence
    class_scores: dict[int, float] = field(default_factory=dict)  # class id of stuff -> confidence
    provenance: dict[str, Any] = field(default_factory=dict)  # checkpoint, where the camera came from, seconds a stage
    photo: UInt8[Tensor, "3 h w"] | None = None  # what `camera` saw, sRGB
    depth_map: DepthMap | None = None  # as the network said it; None where nobody did, as in ground truth
    # Of a scene that several photos made: where they were taken, which voxels any of them could tell of, how sure each is.
    views: tuple[View, ...] = ()
    known: Bool[Tensor, "x y z"] | None = None
    confidence: Float[Tensor, "x y z"] | None = None

    @property
    def depth(self) -> Float[Tensor, "h w"] | None:
        """Metres along the optical axis at the pixels of `camera`, NaN where unknown."""
        return None if self.depth_map is None else self.depth_map.at_photo(self.camera.width, self.camera.height)

    @property
    def segments(self) -> Sequence[Segment]:
        """Things by ascending instance id, then stuff by ascending class."""
        is_surface = (self.distance_vox < SURFACE_ISO_VOX).reshape(-1)
        at = torch.from_numpy(np.flatnonzero(is_surface.cpu().numpy()))  # several times faster than torch's own
        semantic, instance = (labels.reshape(-1)[at].long() for labels in (self.semantic, self.instance))
        num_classes = len(self.taxonomy)
        things = []
        ids, number = torch.unique(instance[instance > 0], return_inverse=True)
        width = max(num_classes, int(semantic.max()) + 1) if len(ids) else num_classes
        counts = torch.bincount(number * width + semantic[instance > 0], minlength=len(ids) * width).view(-1, width)
        for instance_id, of_class in zip(ids.tolist(), counts, strict=True):
            class_id = int(of_class[1:num_classes].argmax()) + 1
            name = f"{self.taxonomy[class_id].name}-{instance_id}"
            score = self.scores.get(instance_id)
            things.append(Segment(name, class_id, instance_id, True, score, int(of_class.sum())))
        stuff_counts = torch.bincount(semantic[instance == 0], minlength=num_classes).tolist()
        stuff = [
            Segment(
                self.taxonomy[class_id].name,
                class_id,
                0,
                False,
                self.class_scores.get(class_id),
                stuff_counts[class_id],
            )
            for class_id in range(num_classes)
            if self.taxonomy[class_id].kind == "stuff" and stuff_counts[class_id] > 0
        ]
        return (*things, *stuff)

    @classmethod
    def from_truth(cls, truth: VoxelTruth, camera: Camera, taxonomy: Taxonomy = FRONT3D_TAXONOMY) -> "PanopticScene":
        """The scene that a perfect method would predict. Instance ids are kept for things only."""
        is_thing = torch.tensor([c.kind == "thing" for c in taxonomy.classes])
        instance = torch.where(is_thing[truth.semantic.long()], truth.instance, 0)
        return cls(
            distance_vox=truth.dense_distance_vox().abs().clamp(max=DISTANCE_TRUNCATION_VOX),
            semantic=truth.dense_semantic(),
            instance=truth.dense(instance, 0),
            camera=camera,
            grid=truth.grid,
            taxonomy=taxonomy,
        )

    def save(
        self,
        folder: str | os.PathLike[str],
        overwrite: bool = False,
        simplify_vox: float = 0.0,
        maps: bool = False,
    ) -> None:
        """Write `scene.npz`, `scene.glb`, `scene.json`, `preview.png` and `index.html`: all of them, or none.

        `simplify_vox` above 0 merges the vertices of meshes in cubes of that side: 2 leaves about a fifth of the faces.
        `maps` adds `depth.exr`, `panoptic.png` with `panoptic.json`, and `points.ply`.
        """
        panoptic3d.save_scene(self, folder, overwrite, simplify_vox, maps)

    def to_glb(self, path: str | os.PathLike[str], simplify_vox: float = 0.0) -> None:
        """The meshes alone; a name that ends in `.ply`, `.obj` or `.usdc` gets one of those."""
        panoptic3d.save_mesh(self, path, simplify_vox)
