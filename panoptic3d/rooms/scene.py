"""The nouns of a generated room: meshes with materials, placed parts, lights and views. World frame: z up, metres.

Layouts make a `RoomScene`, renderers and the truth read it; neither knows of the other.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, Int32

from panoptic3d.structures.camera import Camera

TextureKind = Literal[
    "plain", "wood", "tiles", "planks", "carpet", "cloth", "marble", "stripes", "brick", "picture", "file"
]


@dataclass(frozen=True)
class Material:
    """What a surface looks like. Colours are linear RGB in [0, 1]; a procedural texture is a function of `seed`."""

    color: tuple[float, float, float]
    texture: TextureKind = "plain"
    color_2: tuple[float, float, float] = (0.5, 0.5, 0.5)  # the other colour of a texture with two
    scale_m: float = 0.3  # one repeat of the texture
    roughness: float = 0.6
    metallic: float = 0.0
    transmission: float = 0.0  # glass; rays of depth and labels hit it all the same
    emission: tuple[float, float, float] = (0.0, 0.0, 0.0)  # radiance
    seed: int = 0
    file: str = ""  # of the texture "file": a picture in the user's asset folder


@dataclass(frozen=True, eq=False)
class TriangleMesh:
    """Triangles without connectivity promises: open, thin and overlapping surfaces are ordinary."""

    vertices_m: Float32[np.ndarray, "v 3"]
    triangles: Int32[np.ndarray, "t 3"]
    material_of: Int32[np.ndarray, " t"]  # index into the materials of the part
    uv_m: Float32[np.ndarray, "t 3 2"] | None = None  # metres along the surface, a corner; None: by the dominant axis


@dataclass(frozen=True, eq=False)
class Model:
    """A piece of furniture in its own frame: base at z = 0, centred on the z axis, its front towards -y."""

    name: str
    role: str  # such as `double-bed`, `floor-lamp`: what layout rules go by
    class_id: int
    mesh: TriangleMesh
    materials: tuple[Material, ...]
    # Heights in metres on which smaller things may stand, each with the rectangle (x0, y0, x1, y1) that is free.
    tops: tuple[tuple[float, tuple[float, float, float, float]], ...] = ()
    licence: str = "Apache-2.0"
    author: str = "panoptic3d"

    @property
    def size_m(self) -> tuple[float, float, float]:
        low, high = self.mesh.vertices_m.min(axis=0), self.mesh.vertices_m.max(axis=0)
        x, y, z = (high - low).tolist()
        return x, y, z


@dataclass(frozen=True, eq=False)
class Part:
    """A placed thing or a piece of the shell (each wall is its own part with its own id)."""

    name: str
    role: str
    class_id: int
    instance_id: int  # as in a segmap: above 0, unique in the scene, walls and floor have ids too
    is_thing: bool
    mesh: TriangleMesh
    materials: tuple[Material, ...]
    world_from_part: Float64[np.ndarray, "4 4"]
    support: Literal["floor", "wall", "ceiling", "top", "shell"] = "floor"
    stands_on: int = 0  # instance id of what carries it, for support "top"


@dataclass(frozen=True)
class Light:
    """A sun (direction of travel), a point lamp, or a rectangle that shines to one side (a window, a ceiling panel)."""

    kind: Literal["sun", "point", "rectangle"]
    radiance: tuple[float, float, float]
    position_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, float, float] = (0.0, 0.0, -1.0)
    edges_m: tuple[tuple[float, float, float], tuple[float, float, float]] | None = (
        None  # of a rectangle, from its corner
    )


@dataclass(frozen=True, eq=False)
class View:
    camera: Camera
    world_from_camera: Float64[np.ndarray, "4 4"]


@dataclass(frozen=True, eq=False)
class RoomScene:
    """One room: one integer makes it, byte for byte."""

    seed: int
    room_type: str
    parts: tuple[Part, ...]
    lights: tuple[Light, ...]
    views: tuple[View, ...]
    plan_m: Float64[np.ndarray, "p 2"]  # the floor's outline, anticlockwise seen from above
    sky: tuple[float, float, float] = (1.0, 1.0, 1.0)  # radiance of what lies outside of a window
    facts: dict[str, float | str] = field(default_factory=dict)
