"""The plan of a generated data set, which any number of machines can share.

A room has one seed and several views, and a view is a sample. Which rooms there are, what they are called, and which list
they belong to follows from the plan alone; so every shard knows it without asking the others.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_serializer, model_validator

from panoptic3d.config import Config, fingerprint, load_config
from panoptic3d.errors import InputError
from panoptic3d.packaged import configs_folder
from panoptic3d.rooms.layout.config import LayoutConfig

RECIPES = configs_folder() / "rooms"
SplitName = Literal["train", "val", "test"]
_MAX_DIGITS = 20  # of a shard
_NUM_ROOMS_A_TURN = 20  # of which the last but one is for validation and the last for tests


class GenerationConfig(Config):
    """All that the bytes of a sample depend on, besides its room's seed and its number."""

    rooms: Literal["furnished", "boxes"] = "furnished"  # boxes: the analytic rooms of the tests
    renderer: Literal["fast", "photo"] = "fast"
    format: Literal["packed", "front3d"] = "packed"
    views: int = Field(default=4, ge=1, le=64)  # of each room
    extra_truth: bool = False
    photo_samples: int = Field(default=16, ge=1)  # paths a pixel of the `photo` renderer
    layout: LayoutConfig = LayoutConfig()
    # Share of a room's photos with a piece that the truth does not have.
    transients: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _transients_have_masks(self) -> "GenerationConfig":
        if self.transients and not self.extra_truth:
            raise ValueError("transients have their masks in the extra truth; set extra_truth: true.")
        return self

    @model_serializer(mode="wrap")
    def _without_absent_transients(self, handler: Callable[["GenerationConfig"], dict[str, Any]]) -> dict[str, Any]:
        """Published fingerprints of rooms without transients are older than this key."""
        values = handler(self)
        if not self.transients:
            del values["transients"]
        return values

    def layout_of_views(self) -> LayoutConfig:
        return self.layout.model_copy(update={"num_views": self.views})


@dataclass(frozen=True)
class RoomJob:
    """One room: `num_views` samples, `<scene>/0000` and on."""

    seed: int
    num_views: int
    split: SplitName

    @property
    def scene(self) -> str:
        return f"room-{self.seed:08d}"

    @property
    def keys(self) -> list[str]:
        return [f"{self.scene}/{view:04d}" for view in range(self.num_views)]


@dataclass(frozen=True)
class GenerationPlan:
    """`num` samples of the rooms with the seeds from `first_seed` on. `split` names the list that all belong to; None: of
    every 20 rooms 18 are for training, one for validation and one for tests.
    """

    config: GenerationConfig
    first_seed: int
    num: int
    split: SplitName | None = None

    def __post_init__(self) -> None:
        if self.num < 1 or self.first_seed < 0:
            raise InputError(
                f"a data set needs at least one sample and seeds from 0 on, got {self.num}, {self.first_seed}."
            )

    @property
    def num_rooms(self) -> int:
        return -(-self.num // self.config.views)

    def rooms(self, shard: "Shard") -> Iterator[RoomJob]:
        """The shard's: neighbours in seed stay together."""
        start, stop = (self.num_rooms * part // shard.count for part in (shard.index, shard.index + 1))
        for number in range(start, stop):
            left = self.num - number * self.config.views
            turn = number % _NUM_ROOMS_A_TURN - _NUM_ROOMS_A_TURN
            drawn: SplitName = "test" if turn == -1 else "val" if turn == -2 else "train"
            yield RoomJob(self.first_seed + number, min(self.config.views, left), self.split or drawn)

    def splits(self) -> dict[str, list[str]]:
        """Every list with its samples, those of other shards too."""
        lists: dict[str, list[str]] = {}
        for room in self.rooms(Shard(0, 1)):
            lists.setdefault(room.split, []).extend(room.keys)
        return lists

    def describe(self) -> dict[str, str | int | dict | None]:
        return {
            "format": "panoptic3d-generated",
            "first_seed": self.first_seed,
            "num": self.num,
            "split": self.split,
            "fingerprint": fingerprint(self.config),
            "config": self.config.model_dump(mode="json"),
        }


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count`."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise InputError(f"shard {self.index}/{self.count} is none: give I/N with 0 <= I < N.")

    @classmethod
    def parse(cls, text: str) -> "Shard":
        index, slash, count = text.partition("/")
        is_number = text.isascii() and index.isdigit() and count.isdigit() and len(text) < _MAX_DIGITS
        if not (slash and is_number):
            raise InputError(f"a shard is written I/N, such as 0/8; got {text!r}.")
        return cls(int(index), int(count))

    @property
    def name(self) -> str:
        return f"{self.index:04d}-of-{self.count:04d}"


class SplitRecipe(Config):
    first_seed: int = Field(ge=0)
    num: int = Field(ge=1)


class Recipe(Config):
    """A benchmark: lists of samples by definition. Any prefix of a list may be made by itself."""

    name: str
    generation: GenerationConfig
    splits: dict[SplitName, SplitRecipe]

    def plan(self, split: str, num: int | None) -> GenerationPlan:
        if split not in self.splits:
            raise InputError(f"{self.name} has no split {split!r}; choose from {', '.join(self.splits)}.")
        chosen = self.splits[split]
        if num is not None and num > chosen.num:
            raise InputError(f"{self.name}/{split} has {chosen.num:,} samples, {num:,} were asked for.")
        return GenerationPlan(self.generation, chosen.first_seed, num or chosen.num, split)


def load_recipe(name_or_path: str) -> Recipe:
    named = RECIPES / f"{name_or_path}.yaml"
    path = named if named.is_file() else Path(name_or_path)
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in RECIPES.glob("*.yaml"))) or "none"
        raise InputError(f"there is no recipe {name_or_path!r}; known are: {known}; or give the path of a YAML file.")
    return load_config(Recipe, path)
