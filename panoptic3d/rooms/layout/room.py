"""One integer makes one room: plan, shell, furniture, lights and views."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from panoptic3d.errors import Panoptic3dError
from panoptic3d.randomness import derive_seed, numpy_generator
from panoptic3d.rooms.layout.arrange import furnish
from panoptic3d.rooms.layout.config import LayoutConfig, RoomType
from panoptic3d.rooms.layout.dressing import dress_walls, hang_curtains, hang_lamps, put_clutter
from panoptic3d.rooms.layout.furnisher import Furnisher, ModelSource
from panoptic3d.rooms.layout.groups import Placed
from panoptic3d.rooms.layout.lights import Daylight, draw_lights
from panoptic3d.rooms.layout.openings import Opening, draw_openings
from panoptic3d.rooms.layout.plans import Plan, draw_plan
from panoptic3d.rooms.layout.shell import Finishes, ceiling_mesh, floor_mesh, wall_mesh
from panoptic3d.rooms.layout.space import Space
from panoptic3d.rooms.layout.views import draw_views
from panoptic3d.rooms.render.materials import Style
from panoptic3d.rooms.scene import Part, RoomScene
from panoptic3d.structures.taxonomy import CEILING, FLOOR, FRONT3D_TAXONOMY, WALL

_TYPES: tuple[RoomType, ...] = ("bedroom", "child", "living", "dining", "study", "kitchen", "studio")
_MOST_ATTEMPTS = 24
_TUCKED_M = 0.003  # frames reach behind the edge of their opening: no ray slips past
_RICHNESS, _PLAIN_SHARE = (0.2, 1.8), 0.12  # of rooms of wide variety
_TYPE_SHARES = (0.23, 0.08, 0.27, 0.15, 0.1, 0.09, 0.08)


def make_room(seed: int, options: LayoutConfig = LayoutConfig()) -> RoomScene:  # noqa: B008 - frozen
    """The room of a seed: the same bytes for the same seed and options; other seeds are independent of it.

    A draw whose main furniture finds no place, or no camera a view, is thrown away for the next draw of the same seed.
    """
    room_type = options.room_type or _TYPES[int(numpy_generator(seed, "room").choice(len(_TYPES), p=_TYPE_SHARES))]
    for attempt in range(_MOST_ATTEMPTS):
        scene = _drawn_room(derive_seed(seed, "attempt", attempt), room_type, options)
        if scene is not None:
            return replace(scene, seed=seed, facts=scene.facts | {"attempt": float(attempt)})
    raise Panoptic3dError(
        f"seed {seed} gave no {room_type} with a view in {_MOST_ATTEMPTS} draws; try other options or another seed."
    )


def _drawn_room(seed: int, room_type: RoomType, options: LayoutConfig) -> RoomScene | None:
    if options.variety == "wide":
        options = _varied(numpy_generator(seed, "variety"), options)
    day = Daylight.drawn(numpy_generator(seed, "daylight"), options.variety)
    style = _style(seed, day)
    plan = draw_plan(numpy_generator(seed, "plan"), room_type, options)
    openings = [] if options.plain_walls else draw_openings(numpy_generator(seed, "openings"), plan)
    make = Furnisher(seed, style, _library(options), options.library_share)
    space = _furnished(seed, plan, openings, make, room_type, options)
    if space is None:
        return None
    shell = _shell_parts(seed, plan, openings, make, options)
    parts = (*shell, *_thing_parts(space.placed, first_id=len(shell) + 1))
    views = draw_views(numpy_generator(seed, "views"), space, parts, options)
    if len(views) < options.num_views:
        return None
    lights = draw_lights(numpy_generator(seed, "lights"), plan, openings, space.placed, day, style.is_lamp_on)
    facts: dict[str, float | str] = {"plan": plan.kind, "daylight": day.kind, "area_m2": round(plan.area_m2, 3)}
    facts |= {
        "eaves_m": round(plan.eaves_m, 3),
        "ridge_m": round(plan.ridge_m, 3),
        "ridge_axis": float(plan.ridge_axis),
    }
    return RoomScene(seed, room_type, parts, lights, views, plan.outline_m, day.sky, facts)


def _varied(random: np.random.Generator, options: LayoutConfig) -> LayoutConfig:
    """Nearly empty to overfull rooms, and some with bare walls."""
    richness, is_plain = float(random.uniform(*_RICHNESS)), bool(random.random() < _PLAIN_SHARE)
    return options.model_copy(update={"richness": richness, "plain_walls": options.plain_walls or is_plain})


def _style(seed: int, day: Daylight) -> Style:
    random = numpy_generator(seed, "style")
    style = Style.drawn(random)
    return replace(style, is_lamp_on=bool(random.random() < day.lamps_on))


def _library(options: LayoutConfig) -> ModelSource | None:
    if options.library is None:
        return None
    from panoptic3d.rooms.assets.library import INDEX

    index = Path(options.library) / INDEX
    return _opened(options.library, index.stat().st_mtime_ns if index.is_file() else 0)


@lru_cache(maxsize=2)
def _opened(folder: str, changed_ns: int) -> ModelSource:
    """Read once for many rooms, and again when it was imported again."""
    from panoptic3d.rooms.assets.library import open_library

    return open_library(Path(folder))


def _furnished(
    seed: int, plan: Plan, openings: list[Opening], make: Furnisher, room_type: RoomType, options: LayoutConfig
) -> Space | None:
    space = Space(plan)
    for opening in openings:
        space.zones += opening.zones()
        if opening.kind == "door":
            space.entrances.append(opening.wall.at(opening.middle_m, 0.5))
    windows = [o for o in openings if o.kind == "window"]
    hang_curtains(space, make, numpy_generator(seed, "curtains"), windows)
    if not furnish(space, make, numpy_generator(seed, "furniture"), room_type, options.richness):
        return None
    if not options.plain_walls:
        dress_walls(space, make, numpy_generator(seed, "walls"), options.richness)
        hang_lamps(space, make, numpy_generator(seed, "ceiling"))
    put_clutter(space, make, numpy_generator(seed, "clutter"), options.richness)
    return space


def _shell_parts(seed: int, plan: Plan, openings: list[Opening], make: Furnisher, options: LayoutConfig) -> list[Part]:
    """Floor, ceiling, every wall, and what fills the openings; ids from 1."""
    walls = plan.walls()
    finishes = Finishes.drawn(numpy_generator(seed, "finishes"), len(walls), options.plain_walls)
    same = np.eye(4)
    parts = [
        Part("floor", "floor", FLOOR, 1, False, floor_mesh(plan), (finishes.floor,), same, "shell"),
        Part("ceiling", "ceiling", CEILING, 2, False, ceiling_mesh(plan), (finishes.ceiling,), same, "shell"),
    ]
    for wall in walls:
        own = [o for o in openings if o.wall.index == wall.index]
        paint = finishes.accent if wall.index == finishes.accent_wall else finishes.wall
        mesh = wall_mesh(plan, wall, own, has_skirting=not options.plain_walls)
        parts.append(
            Part(f"wall-{wall.index}", "wall", WALL, len(parts) + 1, False, mesh, (paint, finishes.trim), same, "shell")
        )
    for opening in openings:
        below = _TUCKED_M if opening.kind == "window" else 0.0
        size = {"width_m": opening.width_m + 2 * _TUCKED_M, "height_m": opening.height_m + _TUCKED_M + below}
        model = make(opening.kind, **{name: round(value, 4) for name, value in size.items()})
        # The model's outer side lies at the end of the reveal.
        x, y = opening.wall.at(opening.middle_m, model.size_m[1] / 2 - opening.reveal_m).tolist()
        matrix = placement(x, y, opening.sill_m - below, opening.wall.yaw_deg)
        parts.append(
            Part(
                f"{opening.kind}-{len(parts)}",
                opening.kind,
                WALL,
                len(parts) + 1,
                False,
                model.mesh,
                model.materials,
                matrix,
                "shell",
            )
        )
    return parts


def _thing_parts(placed: list[Placed], first_id: int) -> list[Part]:
    id_of = {p.key: first_id + k for k, p in enumerate(placed)}
    return [
        Part(
            f"{p.model.name}-{id_of[p.key]}",
            p.model.role,
            p.model.class_id,
            id_of[p.key],
            FRONT3D_TAXONOMY.is_thing(p.model.class_id),
            p.model.mesh,
            p.model.materials,
            placement(p.x, p.y, p.z, p.yaw_deg),
            p.support,
            0 if p.on is None else id_of[p.on],
        )
        for p in placed
    ]


def placement(x: float, y: float, z: float, yaw_deg: float) -> Float[np.ndarray, "4 4"]:
    """`world_from_part` of an upright thing."""
    a = np.radians(yaw_deg)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    matrix[:3, 3] = (x, y, z)
    return matrix.round(9)
