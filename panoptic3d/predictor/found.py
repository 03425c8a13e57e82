"""One line for the user about what was found in a photo."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panoptic3d.export.facts import unsure_below
from panoptic3d.structures.scene_files import read_facts


@dataclass(frozen=True)
class Found:
    """Read from scene.json, so that it is the same for a scene made now and for one that was there."""

    num_things: int
    num_sure: int
    stuff: tuple[str, ...]
    fov_deg: float
    camera_source: str

    @classmethod
    def in_scene(cls, folder: Path) -> "Found":
        return cls.from_facts(read_facts(folder))

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Found":
        segments = [{"score": None, **segment} for segment in facts["segments"]]
        least = unsure_below(segments)
        things = [s for s in segments if s.get("is_thing")]
        sure = [s for s in things if s["score"] is None or s["score"] >= least]
        stuff = tuple(str(s.get("class", s.get("name"))) for s in segments if not s.get("is_thing"))
        source = str(facts.get("camera_source") or "not recorded")
        return cls(len(things), len(sure), stuff, float(facts["camera"]["fov_deg"]), source)

    @property
    def num_segments(self) -> int:
        return self.num_things + len(self.stuff)

    @property
    def is_nothing(self) -> bool:
        return self.num_things == 0 and not self.stuff

    def __str__(self) -> str:
        things = f"{self.num_things} thing{'' if self.num_things == 1 else 's'}"
        if self.num_things:
            things += f" ({self.num_sure} sure)"
        room = ", ".join(self.stuff) or "no wall, floor or ceiling"
        is_assumed = self.camera_source.startswith("assumed")
        advice = "; --fov-deg or --cameras says better" if is_assumed else ""
        return f"{things}, {room}; camera {self.fov_deg:.1f} degrees wide ({self.camera_source}{advice})"
