"""What a caller may choose about rooms. The seed draws all the rest."""

from typing import Literal

from pydantic import Field

from panoptic3d.config import Config

RoomType = Literal["bedroom", "child", "living", "dining", "study", "kitchen", "studio"]
PlanKind = Literal["rectangle", "l-shape", "niches", "columns"]


class LayoutConfig(Config):
    room_type: RoomType | None = None  # None: drawn
    plan: PlanKind | None = None
    num_views: int = Field(default=6, ge=1, le=64)
    # release: 0.75 m high, level, 60 degrees. varied: height, tilt, roll, focal length, frame and crop are drawn
    # (layout/cameras.py). level: as varied, but without tilt or roll, half of them through the released lens.
    # mixed: the first half of the views as released, the others varied. any: one released, one level, the others varied.
    camera: Literal["release", "varied", "level", "mixed", "any"] = "release"
    variety: Literal["plain", "wide"] = "plain"  # wide: light, exposure, clutter and bare walls over a wider range
    width: int = Field(default=320, ge=16)
    height: int = Field(default=240, ge=16)
    richness: float = Field(default=1.0, ge=0.0, le=2.0)  # how much stands beside the main group, and how much clutter
    plain_walls: bool = (
        False  # white walls and floor, no openings and nothing on the walls, as the released renders are
    )
    library: str | None = None  # a folder made by `panoptic3d data assets`
    library_share: float = Field(default=0.8, ge=0.0, le=1.0)  # of the pieces for whose role the library has models
