"""Pieces of furniture that stand in single photos of a room only: what moves between one photo and the next.

A room draws one piece. It stands somewhere else in each photo that it gets into, and never in the truth.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from panoptic3d.randomness import numpy_generator
from panoptic3d.rooms.furniture import build
from panoptic3d.rooms.layout.plans import is_within
from panoptic3d.rooms.layout.room import placement
from panoptic3d.rooms.meshes.soup import TriangleSoup, soup_of
from panoptic3d.rooms.render.raycast import Caster, pixel_rays
from panoptic3d.rooms.scene import Model, Part, RoomScene, View
from panoptic3d.rooms.truth.pixels import PixelTruth
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

_ROLES = ("office-chair", "dining-chair", "armchair", "floor-plant", "floor-lamp", "side-table", "dresser", "tv-stand")
_TRIES = 40  # places a photo
_NEAR_M, _FAR_M = 1.2, 3.5  # from the camera
_PICTURE_SHARE = (0.02, 0.4)  # of the pixels that show the piece
_LOW_M = 0.05  # it may stand on a rug


@dataclass(frozen=True, eq=False)
class Transient:
    part: Part
    mask: Bool[np.ndarray, "h w"]  # pixels that show it


@dataclass(frozen=True, eq=False)
class TransientDraw:
    """The piece of a room, and the photos that it is tried in, in this order."""

    model: Model
    order: tuple[int, ...]
    num: int

    @classmethod
    def of(cls, scene: RoomScene, num_views: int, share: float) -> "TransientDraw":
        random = numpy_generator(scene.seed, "transient")
        model = build(str(random.choice(_ROLES)), random)
        return cls(model, tuple(random.permutation(num_views).tolist()), round(share * num_views))

    def placed(self, scene: RoomScene, pixels: list[PixelTruth]) -> dict[int, Transient]:
        """By number of the photo. Fewer than `num` where too few photos have a free place for it."""
        found: dict[int, Transient] = {}
        for number in self.order:
            if len(found) == self.num:
                break
            one = _in_photo(scene, self.model, number, pixels[number])
            if one is not None:
                found[number] = one
        return found


def with_transient(scene: RoomScene, transient: Transient) -> tuple[RoomScene, TriangleSoup, Caster]:
    scene = replace(scene, parts=(*scene.parts, transient.part))
    soup = soup_of(scene)
    return scene, soup, Caster(soup)


def _in_photo(scene: RoomScene, model: Model, number: int, pixels: PixelTruth) -> Transient | None:
    random, view = numpy_generator(scene.seed, "place of the transient", number), scene.views[number]
    taken = _taken(scene)
    for _ in range(_TRIES):
        part = _drawn_place(random, scene, model, view)
        low, high = _bounds(part)
        corners = np.array([[x, y] for x in (low[0], high[0]) for y in (low[1], high[1])])
        hits = ((taken[:, 0] < high) & (taken[:, 1] > low)).all(axis=1)
        if hits.any() or not is_within(scene.plan_m, corners).all():
            continue
        mask = _mask(scene, part, view, pixels)
        if _PICTURE_SHARE[0] <= mask.mean() <= _PICTURE_SHARE[1]:
            return Transient(part, mask)
    return None


def _drawn_place(random: np.random.Generator, scene: RoomScene, model: Model, view: View) -> Part:
    forward, centre = view.world_from_camera[:3, 2], view.world_from_camera[:3, 3]
    aside = np.radians(view.camera.horizontal_fov_deg) * random.uniform(-0.4, 0.4)
    angle, away_m = np.arctan2(forward[1], forward[0]) + aside, random.uniform(_NEAR_M, _FAR_M)
    x, y = (centre[:2] + away_m * np.array([np.cos(angle), np.sin(angle)])).round(4).tolist()
    number = max(part.instance_id for part in scene.parts) + 1
    return Part(
        f"{model.name}-{number}",
        model.role,
        model.class_id,
        number,
        FRONT3D_TAXONOMY.is_thing(model.class_id),
        model.mesh,
        model.materials,
        placement(x, y, 0.0, float(random.uniform(0, 360))),
    )


def _mask(scene: RoomScene, part: Part, view: View, pixels: PixelTruth) -> Bool[np.ndarray, "h w"]:
    hits = Caster(soup_of(replace(scene, parts=(part,)))).cast(*pixel_rays(view))
    size = pixels.depth_m.shape
    behind_m = np.where(pixels.depth_m > 0, pixels.depth_m, np.inf)
    return hits.is_hit.reshape(size) & (hits.distance.reshape(size) < behind_m)


def _taken(scene: RoomScene) -> np.ndarray:
    """Boxes [n, low and high, 3] of what a piece on the floor may not stand in."""
    boxes = [_bounds(part) for part in scene.parts if part.support != "shell"]
    return np.array([box for box in boxes if box[1][2] > _LOW_M]).reshape(-1, 2, 3)


def _bounds(part: Part) -> tuple[np.ndarray, np.ndarray]:
    points = part.mesh.vertices_m @ part.world_from_part[:3, :3].T + part.world_from_part[:3, 3]
    return points.min(axis=0), points.max(axis=0)
