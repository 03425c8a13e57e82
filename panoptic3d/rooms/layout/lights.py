"""Day, overcast or evening: the sun through a window, windows that shine, lamps that are on, and a little of everything.

The measure of `Light.radiance` follows its kind: the irradiance square to the beam for the sun, the intensity for a point,
the radiance for a rectangle (its direction is its normal, the side that shines).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from panoptic3d.rooms.layout.groups import Placed
from panoptic3d.rooms.layout.openings import Opening
from panoptic3d.rooms.layout.plans import Plan
from panoptic3d.rooms.scene import Light

Color = tuple[float, float, float]
_WARM, _NEUTRAL = (1.0, 0.78, 0.52), (1.0, 0.93, 0.84)
_LAMP_ROLES = {"floor-lamp": 1.6, "table-lamp": 0.8, "desk-lamp": 0.5, "pendant": 2.4, "ceiling-lamp": 3.2}


@dataclass(frozen=True)
class Daylight:
    kind: Literal["sunny", "overcast", "evening"]
    sky: Color
    sun: Color

    @property
    def lamps_on(self) -> float:
        """The share of rooms whose lamps are switched on."""
        return {"sunny": 0.25, "overcast": 0.5, "evening": 1.0}[self.kind]

    @classmethod
    def drawn(cls, random: np.random.Generator, variety: Literal["plain", "wide"] = "plain") -> "Daylight":
        shares, brightness = ((0.5, 0.36, 0.14), (0.8, 1.3)) if variety == "plain" else ((0.4, 0.32, 0.28), (0.5, 2.2))
        kind = str(random.choice(["sunny", "overcast", "evening"], p=shares))
        bright = float(random.uniform(*brightness))
        match kind:
            case "sunny":
                sky, sun = (0.85, 0.95, 1.1), (6.0, 5.4, 4.5)
            case "overcast":
                sky, sun = (1.0, 1.0, 1.02), (0.0, 0.0, 0.0)
            case _:
                sky, sun = (0.02, 0.03, 0.06), (0.0, 0.0, 0.0)
        return cls(kind, _scaled(sky, 3.0 * bright), _scaled(sun, bright))  # pyright: ignore[reportArgumentType]


def _scaled(color: Color, by: float) -> Color:
    r, g, b = (round(c * by, 4) for c in color)
    return r, g, b


def draw_lights(
    random: np.random.Generator,
    plan: Plan,
    openings: list[Opening],
    placed: list[Placed],
    day: Daylight,
    is_lamp_on: bool,
) -> tuple[Light, ...]:
    windows = [o for o in openings if o.kind == "window"]
    lights = [_window_light(o, day.sky) for o in windows]
    if windows and day.kind == "sunny":
        lights.append(_sun(random, windows[int(random.integers(len(windows)))], day.sun))
    if is_lamp_on:
        lights += [_lamp_light(p) for p in placed if p.model.role in _LAMP_ROLES]
    return (*lights, _fill(plan, 0.75 if not windows else 0.3 if day.kind != "evening" else 0.12))


def _window_light(o: Opening, sky: Color) -> Light:
    """Just outside of the pane."""
    off = -o.reveal_m - 0.03
    x0, y0 = o.wall.at(o.start_m, off).tolist()
    x, y = (o.wall.along * o.width_m).tolist()
    nx, ny = o.wall.inward.tolist()
    return Light("rectangle", sky, (x0, y0, o.sill_m), (nx, ny, 0.0), ((x, y, 0.0), (0.0, 0.0, o.height_m)))


def _sun(random: np.random.Generator, window: Opening, sun: Color) -> Light:
    """From outside through one of the windows, 15 to 55 degrees high."""
    aside, high = np.radians(random.uniform(-50, 50)), np.radians(random.uniform(15, 55))
    inward, along = window.wall.inward, window.wall.along
    x, y = (np.cos(high) * (np.cos(aside) * inward + np.sin(aside) * along)).tolist()
    return Light("sun", sun, direction=(round(x, 6), round(y, 6), round(-float(np.sin(high)), 6)))


def _lamp_light(p: Placed) -> Light:
    """The light of a lamp: inside of its shade near the open bottom, or just below a closed shade."""
    low, high = p.model.mesh.vertices_m.min(axis=0), p.model.mesh.vertices_m.max(axis=0)
    x, y, z = p.x, p.y, p.z + float(high[2]) - 0.14
    if p.model.role in ("pendant", "ceiling-lamp"):
        z = p.z - 0.03
    if p.model.role == "desk-lamp" or p.model.name.endswith("arc"):
        glowing = [k for k, m in enumerate(p.model.materials) if max(m.emission) > 0]
        corners = p.model.mesh.triangles[np.isin(p.model.mesh.material_of, glowing)]
        at = p.model.mesh.vertices_m[corners.ravel()] if len(corners) else np.stack([low, high])
        a, middle = np.radians(p.yaw_deg), at.mean(axis=0)
        x += float(np.cos(a) * middle[0] - np.sin(a) * middle[1])
        y += float(np.sin(a) * middle[0] + np.cos(a) * middle[1])
        z = p.z + float(at[:, 2].min()) - 0.03
    return Light("point", _scaled(_WARM, _LAMP_ROLES[p.model.role]), (round(x, 4), round(y, 4), round(z, 4)))


def _fill(plan: Plan, radiance: float) -> Light:
    """A weak panel under the ceiling, for all that bounces more often than a fast renderer follows."""
    low, high = plan.outline_m.min(axis=0), plan.outline_m.max(axis=0)
    (x0, y0), (w, d) = (low + 0.2 * (high - low)).tolist(), (0.6 * (high - low)).tolist()
    z = plan.eaves_m - 0.02
    return Light(
        "rectangle", _scaled(_NEUTRAL, radiance), (x0, y0, z), (0.0, 0.0, -1.0), ((w, 0.0, 0.0), (0.0, d, 0.0))
    )
