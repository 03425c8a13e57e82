"""A protocol of surface scores, declared. "Chamfer" and "F-score" mean nothing without one (docs/evaluation.md)."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from pydantic import Field

from panoptic3d.config import Config, load_config, parse_yaml, validate_config
from panoptic3d.errors import ConfigError

Alignment = Literal["none", "centre", "box", "icp", "fit"]


class SurfaceProtocol(Config):
    """How two sets of surface points become numbers.

    Alignment moves the prediction: `centre` onto the centre of the true box; `box` also scales by the cube root of the
    ratio of box volumes; `icp` moves it rigidly to its nearest true points; `fit` is `box`, then the best of some starting
    yaws under turns, shifts and a scale. Scores after an alignment are not scores of what was predicted.
    """

    name: str
    summary: str
    num_points: int = Field(gt=0)  # drawn from each surface
    distance: Literal["euclidean", "squared"]  # in metres, or square metres
    combine: Literal["mean", "sum"]  # of accuracy and completeness, into the Chamfer distance
    thresholds: tuple[float, ...]  # of the declared distance: 0.1 of squared ones is 0.316 m
    alignment: Alignment = "none"
    num_starts: int = Field(default=1, ge=1)  # of `fit`
    culling: Literal["frustum", "none"]  # of the ground truth, for the record: the caller culls
    has_normals: bool = False
    downsample_m: float | None = None  # one point a cell before scoring


def built_in_surface_protocols() -> tuple[str, ...]:
    return tuple(sorted(item.name.removesuffix(".yaml") for item in _assets().iterdir() if item.name.endswith(".yaml")))


def load_surface_protocol(name_or_path: str | Path) -> SurfaceProtocol:
    text = str(name_or_path)
    if text in built_in_surface_protocols():
        tree = parse_yaml((_assets() / f"{text}.yaml").read_text(encoding="utf-8"), origin=text)
        return validate_config(SurfaceProtocol, tree, origin=text)
    if not text.endswith((".yaml", ".yml")):
        known = ", ".join(built_in_surface_protocols())
        raise ConfigError(f"there is no surface protocol {text!r}; choose from {known}, or give a YAML file.")
    return load_config(SurfaceProtocol, text)


def _assets() -> Traversable:
    return resources.files("panoptic3d.metrics") / "assets" / "surface"
