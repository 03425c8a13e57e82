"""Protocols of panoptic reconstruction quality: the rules in which the published evaluators differ.

The four built-in ones lie beside this module in assets/*.yaml; a new dialect is a new file (docs/evaluation.md).
"""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from panoptic3d.config import Config, load_config, parse_yaml, validate_config
from panoptic3d.errors import ConfigError

ClassIds = tuple[int, ...]
OffsetRange = tuple[int, int]


class BackProjection(Config):
    """Voxels count only if the method's own camera sees them: a pinhole on the aligned grid.

    `index = point_m / voxel_size_m + camera_index`, as in `VoxelGrid`.
    """

    focal_px: float
    center_px: tuple[float, float]
    size_px: tuple[int, int]  # width, height; accepted are 0 <= u < width and 0 <= v < height
    depth_m: tuple[float, float]  # both ends included
    camera_index: tuple[float, float, float]


class MaskRule(Config):
    """Where the grown segments are compared.

    The releases store the frustum mask with x and y reversed, as they store the volumes. `as_shipped` lays that array
    unturned over camera-aligned volumes, which is an error that two published evaluators share.
    """

    orientation: Literal["camera_aligned", "as_shipped"] = "camera_aligned"
    back_projection: BackProjection | None = None


class Thickening(Config):
    """Every surface voxel marks the voxels at these offsets (both ends included) in the camera-aligned grid."""

    x: OffsetRange
    y: OffsetRange
    z: OffsetRange

    @model_validator(mode="after")
    def _is_a_range(self) -> "Thickening":
        for first, last in self.ranges:
            if not -16 <= first <= last <= 16:
                raise ValueError(f"a range of offsets goes up and stays within 16 voxels, got [{first}, {last}]")
        return self

    @property
    def ranges(self) -> tuple[OffsetRange, OffsetRange, OffsetRange]:
        return self.x, self.y, self.z


class AllInstances(Config):
    """Every instance id of the volume."""

    by: Literal["all"]


class PixelMajority(Config):
    """Ids of the 2D label map, ascending: enough pixels, an accepted majority class, and no more than `at_most` of them."""

    by: Literal["pixel_majority"]
    more_than_pixels: int
    at_most: int
    refused_classes: ClassIds


class FirstPixel(Config):
    """Ids of the 2D label map whose first pixel (row by row) has one of these classes."""

    by: Literal["first_pixel"]
    classes: ClassIds


class VisibleInstances(Config):
    """Only instances with at least this many pixels in the 2D label map are targets. Finding a hidden one is no error."""

    by: Literal["visible"]
    at_least_pixels: int


InstanceRule = Annotated[AllInstances | PixelMajority | FirstPixel | VisibleInstances, Field(discriminator="by")]


class SegmentRule(Config):
    """How labelled voxels become an ordered list of segments, each with a class and a set of voxels."""

    instances: InstanceRule
    thing_class_by: Literal["majority", "first_voxel"] = "majority"
    majority_without: ClassIds = (0,)  # classes that do not vote
    thing_classes: ClassIds | None = (
        None  # voxels of an instance of any other class lose their id; None: all classes count
    )
    stuff_classes: ClassIds  # class 0 may stand here: it takes its voxels from things and makes no segment
    stuff_entries: Literal["present", "always", "visible"]  # any voxel | even if empty | any pixel in the 2D map
    overlap: Literal["stuff_wins", "thing_wins"]  # a voxel with a thing's id and a stuff class belongs to ...
    order: Literal["things_then_stuff", "by_class"]


class MatchingRule(Config):
    """`first_hit`: ground truth in order takes the first free prediction above the threshold, as the papers' code does.
    `optimal`: the one-to-one assignment of the largest IoU sum, the more matches the better among equals."""

    rule: Literal["first_hit", "optimal"]
    iou_above: float = Field(ge=0.0, lt=1.0)


class Protocol(Config):
    """Everything that decides a PRQ besides the prediction and the ground truth."""

    name: str
    summary: str
    surface_iso_vox: float = Field(gt=0.0)  # the shell of a segment: voxels with |distance| below
    thickening: Thickening
    evaluation_mask: MaskRule
    prediction: SegmentRule
    truth: SegmentRule
    without_instances: Literal["count", "skip"] = "count"  # a sample whose ground truth keeps no instance
    empty_segments: Literal["count", "drop"]  # segments of which the mask leaves no voxel
    matching: MatchingRule
    mean_over: Literal["classes_in_truth", "classes_seen"]  # classes with n > 0 | with any tp, fp or fn

    @model_validator(mode="after")
    def _predictions_have_no_pixels(self) -> "Protocol":
        if self.prediction.instances.by != "all" or self.prediction.stuff_entries == "visible":
            raise ValueError("a prediction has no 2D label map; its instances are `all` and its stuff is not `visible`")
        return self


def built_in_protocols() -> tuple[str, ...]:
    return tuple(sorted(item.name.removesuffix(".yaml") for item in _assets().iterdir() if item.name.endswith(".yaml")))


def load_protocol(name_or_path: str | Path) -> Protocol:
    """A built-in protocol by its name, or any other from its YAML file."""
    text = str(name_or_path)
    if text in built_in_protocols():
        item = _assets() / f"{text}.yaml"
        return validate_config(Protocol, parse_yaml(item.read_text(encoding="utf-8"), origin=text), origin=text)
    if not text.endswith((".yaml", ".yml")):
        known = ", ".join(built_in_protocols())
        raise ConfigError(f"there is no protocol {text!r}; choose from {known}, or give the path of a YAML file.")
    return load_config(Protocol, text)


def _assets() -> Traversable:
    return resources.files("panoptic3d.metrics") / "assets" / "protocols"
