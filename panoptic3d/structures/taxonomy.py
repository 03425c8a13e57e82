"""Classes: their ids in files and networks, their kind and their colour. No class id stands as a bare number elsewhere."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Kind = Literal["void", "thing", "stuff"]


@dataclass(frozen=True)
class SemanticClass:
    id: int
    name: str
    kind: Kind
    color: tuple[int, int, int]


@dataclass(frozen=True)
class Taxonomy:
    """The classes of a data set. Ids are dense from 0; 0 is void (unlabelled or free space)."""

    name: str
    classes: tuple[SemanticClass, ...]
    ignored_ids: tuple[int, ...] = ()  # stuff that occurs in files and is neither scored nor counted as an error

    def __post_init__(self) -> None:
        assert [c.id for c in self.classes] == list(range(len(self.classes))), "ids are dense from 0"

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, class_id: int) -> SemanticClass:
        return self.classes[class_id]

    def id_of(self, name: str) -> int:
        return self._by_name[name].id

    def is_thing(self, class_id: int) -> bool:
        return self.classes[class_id].kind == "thing"

    @cached_property
    def thing_ids(self) -> tuple[int, ...]:
        return tuple(c.id for c in self.classes if c.kind == "thing")

    @cached_property
    def stuff_ids(self) -> tuple[int, ...]:
        """Stuff that counts: ignored classes are left out."""
        return tuple(c.id for c in self.classes if c.kind == "stuff" and c.id not in self.ignored_ids)

    @cached_property
    def _by_name(self) -> dict[str, SemanticClass]:
        return {c.name: c for c in self.classes}


VOID, CABINET, BED, CHAIR, SOFA, TABLE, DESK, DRESSER, LAMP, OTHER, WALL, FLOOR, CEILING = range(13)

# Colours that stay apart for colour-blind readers and on dark and light ground.
_CLASSES = (
    SemanticClass(VOID, "void", "void", (0, 0, 0)),
    SemanticClass(CABINET, "cabinet", "thing", (230, 159, 0)),
    SemanticClass(BED, "bed", "thing", (86, 180, 233)),
    SemanticClass(CHAIR, "chair", "thing", (0, 158, 115)),
    SemanticClass(SOFA, "sofa", "thing", (213, 94, 0)),
    SemanticClass(TABLE, "table", "thing", (204, 121, 167)),
    SemanticClass(DESK, "desk", "thing", (240, 228, 66)),
    SemanticClass(DRESSER, "dresser", "thing", (0, 114, 178)),
    SemanticClass(LAMP, "lamp", "thing", (255, 109, 182)),
    SemanticClass(OTHER, "other", "thing", (146, 73, 0)),
    SemanticClass(WALL, "wall", "stuff", (176, 196, 222)),
    SemanticClass(FLOOR, "floor", "stuff", (152, 223, 138)),
    SemanticClass(CEILING, "ceiling", "stuff", (219, 219, 141)),
)

# Both releases use the same mapped ids; they differ in what is done with the ceiling (docs/conventions.md).
FRONT3D_TAXONOMY = Taxonomy("front3d", _CLASSES, ignored_ids=(CEILING,))
MATTERPORT_TAXONOMY = Taxonomy("matterport3d", _CLASSES)
