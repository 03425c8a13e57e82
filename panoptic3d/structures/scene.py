"""The panoptic scene: what every method's decoder makes, what is saved, shown and scored."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int32, UInt8
from torch import Tensor

import panoptic3d  # whose functions do the work of `save`: they load their home, floors above, on first use
from panoptic3d.errors import InputError
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import FRONT3D_GRID, VoxelGrid
from panoptic3d.structures.pixel_map import DepthMap
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, VoxelTruth
from panoptic3d.structures.segment_rows import SURFACE_ISO_VOX, SegmentRow, segment_rows
from panoptic3d.structures.surface_mesh import Point, SceneSurfaces, SurfaceMesh
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy

if TYPE_CHECKING:
    import open3d
    import trimesh


@dataclass(frozen=True)
class Segment:
    """A thing, or all of one stuff class. Its geometry is read from the scene that it belongs to."""

    name: str  # unique in its scene, such as `chair-3`
    class_id: int
    instance_id: int  # 0 for stuff
    is_thing: bool
    score: float | None  # None without a score, as in ground truth
    num_voxels: int  # with distance below `SURFACE_ISO_VOX`
    scene: "PanopticScene | None" = field(default=None, repr=False, compare=False)

    @property
    def class_name(self) -> str:
        return self._scene.taxonomy[self.class_id].name

    @property
    def mask(self) -> Bool[Tensor, "x y z"]:
        """The segment's `num_voxels` voxels at the surface, in the grid of the scene."""
        scene = self._scene
        is_own = scene.instance == self.instance_id
        if not self.is_thing:
            is_own &= scene.semantic == self.class_id
        return is_own & (scene.distance_vox < SURFACE_ISO_VOX)

    def points(self) -> Float32[Tensor, "n 3"]:
        """The points of `mask` in the camera's frame, metres."""
        return self._scene.grid.camera_from_index(self.mask.nonzero().double()).float()

    def mesh(self) -> SurfaceMesh:
        """The mesh of the segment, as in `scene.glb`, but in the camera's frame."""
        return self._scene.surfaces.meshes[self.name]

    @property
    def box_m(self) -> tuple[Point, Point] | None:
        """Lower and upper corner along the camera's axes, as in scene.json; None without a surface."""
        return self._scene.surfaces.boxes_m[self.name]

    @property
    def size_m(self) -> Point | None:
        """Width, height and depth of the box."""
        if self.box_m is None:
            return None
        (x0, y0, z0), (x1, y1, z1) = self.box_m
        return (round(x1 - x0, 4), round(y1 - y0, 4), round(z1 - z0, 4))

    @property
    def _scene(self) -> "PanopticScene":
        if self.scene is None:
            raise InputError(f"the segment {self.name} was made without its scene; take it from `scene.segments`.")
        return self.scene


class SegmentNotFoundError(InputError, KeyError):
    """A scene has no segment of this name."""

    def __init__(self, name: str, names: Sequence[str]) -> None:
        known = ", ".join(names) or "none"
        super().__init__(f"the scene has no segment {name!r}; it has: {known}.")

    __str__ = Exception.__str__  # KeyError's own quotes the message


@dataclass(frozen=True, eq=False)
class View:
    """One of several photos that a scene was made of."""

    camera: Camera
    scene_from_camera: Float64[Tensor, "4 4"]
    photo: UInt8[Tensor, "3 h w"] | None = None


@dataclass(frozen=True, eq=False, repr=False)
class PanopticScene:
    """Distance, class and instance of every voxel of a grid in front of one camera (docs/scenes-on-disk.md).

    Examples:
        >>> grid = VoxelGrid((4, 4, 8), voxel_size_m=0.5, camera_index=(1.5, 1.5, -1.0))
        >>> distance, semantic, instance = torch.full((4, 4, 8), 3.0), torch.zeros(4, 4, 8), torch.zeros(4, 4, 8)
        >>> distance[:, :, 6], semantic[:, :, 6] = 0.0, FRONT3D_TAXONOMY.id_of("wall")
        >>> distance[1, 3, 3:5], semantic[1, 3, 3:5], instance[1, 3, 3:5] = 0.0, FRONT3D_TAXONOMY.id_of("chair"), 3
        >>> camera = Camera.from_fov(60, width=640, height=480)
        >>> scene = PanopticScene(distance, semantic.byte(), instance.int(), camera, grid)
        >>> scene
        PanopticScene(1 thing, 1 stuff, 4x4x8 voxels of 50 cm, camera 640x480 at 60.0 degrees)
        >>> [segment.name for segment in scene.segments]
        ['chair-3', 'wall']
        >>> scene["chair-3"].num_voxels, scene["chair-3"].points().tolist()
        (2, [[-0.25, 0.75, 2.0], [-0.25, 0.75, 2.5]])
    """

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
    depth_map: DepthMap | None = None  # as predicted; None without a prediction, as in ground truth
    # For a scene from several photos: their views, and the voxels that at least one of them covers.
    views: tuple[View, ...] = ()
    known: Bool[Tensor, "x y z"] | None = None
    confidence: Float[Tensor, "x y z"] | None = None  # of each voxel in [0, 1]; None if the method has none

    @property
    def depth(self) -> Float[Tensor, "h w"] | None:
        """Metres along the optical axis at the pixels of `camera`, NaN where unknown."""
        return None if self.depth_map is None else self.depth_map.at_photo(self.camera.width, self.camera.height)

    @property
    def distance_field(self) -> Float[Tensor, "x y z"]:
        """`distance_vox` by the name that it has in `scene.npz`."""
        return self.distance_vox

    @property
    def segments(self) -> Sequence[Segment]:
        """Things by ascending instance id, then stuff by ascending class."""
        return tuple(self._segment(row) for row in self._rows)

    def __getitem__(self, name: str) -> Segment:
        """The segment of this name, such as `scene["chair-3"]`."""
        if not isinstance(name, str):
            raise InputError(f'a segment is found by its name, such as "chair-3", not by {name!r}.')
        for row in self._rows:
            if row.name == name:
                return self._segment(row)
        raise SegmentNotFoundError(name, [row.name for row in self._rows])

    def __repr__(self) -> str:
        num_things = sum(row.instance_id > 0 for row in self._rows)
        x, y, z = self.grid.shape
        checkpoint = self.provenance.get("checkpoint")
        origin = f", from {checkpoint['name']}" if isinstance(checkpoint, dict) and "name" in checkpoint else ""
        return (
            f"PanopticScene({num_things} thing{'' if num_things == 1 else 's'}, {len(self._rows) - num_things} stuff, "
            f"{x}x{y}x{z} voxels of {self.grid.voxel_size_m * 100:g} cm, camera {self.camera.width}x{self.camera.height} "
            f"at {self.camera.horizontal_fov_deg:.1f} degrees{origin})"
        )

    @cached_property
    def surfaces(self) -> SceneSurfaces:
        """Meshes and boxes of all segments; made once, on first use."""
        return panoptic3d.scene_surfaces(self)

    @cached_property
    def _rows(self) -> tuple[SegmentRow, ...]:
        return segment_rows(self.distance_vox, self.semantic, self.instance, self.taxonomy)

    def _segment(self, row: SegmentRow) -> Segment:
        is_thing = row.instance_id > 0
        score = self.scores.get(row.instance_id) if is_thing else self.class_scores.get(row.class_id)
        return Segment(row.name, row.class_id, row.instance_id, is_thing, score, row.num_voxels, self)

    def numpy(self) -> dict[str, np.ndarray]:
        """The volumes as `scene.npz` names them, and `depth` where there is one."""
        named = {"distance_field": self.distance_vox, "semantic": self.semantic, "instance": self.instance}
        if self.depth is not None:
            named["depth"] = self.depth
        return {name: tensor.cpu().numpy() for name, tensor in named.items()}

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

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "PanopticScene":
        """A scene that `save` or `panoptic3d predict` wrote, with its camera, grid, photo, depth, scores and provenance.

        Distances were stored as half floats, so they differ from those before saving by less than 0.002 voxel.
        """
        return panoptic3d.load_scene(folder)

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

    def to_trimesh(self) -> "trimesh.Scene":
        """A geometry a segment, by its name, with vertex colours; camera frame, metres."""
        return panoptic3d.scene_to_trimesh(self)

    def to_open3d(self) -> "dict[str, open3d.geometry.TriangleMesh]":
        """A mesh a segment, by its name, with vertex colours; camera frame, metres. Needs open3d."""
        return {name: mesh.to_open3d() for name, mesh in self.surfaces.meshes.items()}

    def show(self) -> Path | None:
        """In a notebook the page below the cell; elsewhere the page in the browser, from the file that is returned."""
        return panoptic3d.show_scene(self)

    def _repr_html_(self) -> str:
        return panoptic3d.scene_html(self)
