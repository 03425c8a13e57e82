"""Free and occupied space of a room: decides whether a group of furniture may stand somewhere."""

from dataclasses import dataclass, field
from itertools import count

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import label

from panoptic3d.rooms.layout.boxes import Boxes, overlaps
from panoptic3d.rooms.layout.groups import Group, Placed
from panoptic3d.rooms.layout.plans import Plan

_CELL_M, _BODY_M = 0.1, 0.24  # of the walking grid; half the width of who walks
_GAP_M = 0.015  # between things of different groups


@dataclass
class Space:
    """State of a room while it is being furnished."""

    plan: Plan
    solids: list[Boxes] = field(default_factory=list)
    zones: list[Boxes] = field(default_factory=list)  # nothing may stand here: before doors, wardrobes, windows
    rugs: list[Boxes] = field(default_factory=list)
    entrances: list[Float[np.ndarray, "2"]] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    keys: count = field(default_factory=count)

    def __post_init__(self) -> None:
        low, high = self.plan.outline_m.min(axis=0), self.plan.outline_m.max(axis=0)
        x, y = (np.arange(a + _CELL_M / 2, b, _CELL_M) for a, b in zip(low, high, strict=True))
        grid = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)
        flat = grid.reshape(-1, 2)
        self._grid = grid
        self._open = (self.plan.contains(flat) & (self.plan.distance_to_walls_m(flat) > _BODY_M)).reshape(
            grid.shape[:2]
        )

    def fits(self, solid: Boxes, wall_gap_m: float = 0.0) -> bool:
        return self.is_inside(solid, wall_gap_m) and not self.is_taken(solid)

    def is_inside(self, solid: Boxes, wall_gap_m: float = 0.0) -> bool:
        """Within the outline and under the ceiling; the gap (of the skirting) counts for what stands on the floor."""
        margin = np.where(solid.low_m < 0.1, wall_gap_m, 0.0)[:, None]
        corners = solid.grown(margin).corners()
        edges = np.concatenate(
            [corners + (np.roll(corners, -1, axis=1) - corners) * share for share in (0.0, 0.25, 0.5, 0.75)], axis=1
        )
        if not self.plan.contains(edges.reshape(-1, 2)).all():
            return False
        outline = self.plan.outline_m
        local = np.einsum("npd,nkd->npk", outline[None] - solid.centre_m[:, None], solid.axes)
        if (np.abs(local) < (solid.half_m + margin)[:, None]).all(axis=-1).any():
            return False
        return bool((self.plan.ceiling_m(corners).min(axis=1) > solid.high_m + 0.01).all())

    def is_taken(self, solid: Boxes) -> bool:
        grown = solid.grown(_GAP_M)
        others = Boxes.joined([*self.solids, *self.zones])
        return len(others) > 0 and bool(overlaps(grown, others).any())

    def try_group(self, group: Group, x: float, y: float, yaw_deg: float, wall_gap_m: float = 0.015) -> bool:
        """Place it there if it fits, leaves its clearance free and lets people through."""
        solid, clear = group.solid.placed(x, y, 0, yaw_deg), group.clear.placed(x, y, 0, yaw_deg)
        rugs = group.rugs.placed(x, y, 0, yaw_deg)
        if not self.fits(solid, wall_gap_m) or not self.is_inside(rugs, 0.03):
            return False
        if len(rugs) and self.rugs and overlaps(rugs, Boxes.joined(self.rugs)).any():
            return False
        if len(clear) and (not self.is_inside(clear.grown(-0.02)) or self._hits_solid(clear)):
            return False
        if not self.is_walkable(Boxes.joined([*self.solids, solid]), clear):
            return False
        self.solids.append(solid)
        self.zones.append(clear)
        self.rugs.append(rugs)
        self.placed += group.at(x, y, yaw_deg, self.keys)
        return True

    def _hits_solid(self, clear: Boxes) -> bool:
        return bool(self.solids) and bool(overlaps(clear, Boxes.joined(self.solids)).any())

    def reachable(self, solid: Boxes | None = None) -> Bool[np.ndarray, "x y"]:
        """Cells to which a person gets from the first entrance."""
        solid = Boxes.joined(self.solids) if solid is None else solid
        free = self._open & ~self._covered(solid, _BODY_M)
        areas, num_areas = label(free)  # pyright: ignore[reportGeneralTypeIssues]
        if num_areas == 0:
            return free
        if not self.entrances:
            return areas == 1 + int(np.argmax(np.bincount(areas.ravel())[1:]))
        distance = np.linalg.norm(self._grid - self.entrances[0], axis=-1)
        at = np.unravel_index(int(np.argmin(np.where(free, distance, np.inf))), free.shape)
        return (areas == areas[at]) if distance[at] < 0.9 else np.zeros_like(free)

    def is_walkable(self, solid: Boxes, clear: Boxes) -> bool:
        """Every entrance and every clearance is reached, and enough floor stays connected."""
        reached = self.reachable(solid)
        if reached.sum() * _CELL_M**2 < 0.08 * self.plan.area_m2 + 0.4:
            return False
        doors = [np.linalg.norm(self._grid - door, axis=-1) < 0.75 for door in self.entrances[1:]]
        wanted = [self._covered(Boxes.joined([one]), 0.15) for one in _each([*self.zones, clear])]
        return all((reached & place).any() for place in doors + wanted)

    def free_points(self) -> Float[np.ndarray, "n 2"]:
        return self._grid[self.reachable()]

    def _covered(self, solid: Boxes, margin_m: float) -> Bool[np.ndarray, "x y"]:
        solid = Boxes.joined([solid]) if len(solid) else solid
        covered = np.zeros(self._open.shape, dtype=bool)
        is_low = solid.low_m < 1.8
        for centre, half, axes in zip(solid.centre_m[is_low], solid.half_m[is_low], solid.axes[is_low], strict=True):
            local = (self._grid - centre) @ axes.T
            covered |= (np.abs(local) < half + margin_m).all(axis=-1)
        return covered


def _each(many: list[Boxes]) -> list[Boxes]:
    """Clearances by the piece, windows' and walls' zones (which begin above the floor) left out."""
    whole = Boxes.joined(many)
    singles = []
    for k in np.flatnonzero(whole.low_m < 0.01):
        singles.append(
            Boxes(
                whole.centre_m[k : k + 1],
                whole.half_m[k : k + 1],
                whole.yaw_rad[k : k + 1],
                whole.low_m[k : k + 1],
                whole.high_m[k : k + 1],
            )
        )
    return singles
