"""The card of a depth network: a JSON file beside its ONNX file that says how to run it."""

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import Field

from panoptic3d.config import Config, validate_config
from panoptic3d.errors import ConfigError, InputError, reading
from panoptic3d.files import read_file
from panoptic3d.structures.given_depth import DepthKind

_MAX_CARD_BYTES, _MAX_MODEL_BYTES = 1_000_000, 4_000_000_000


class CardInput(Config):
    """The picture as the network wants it: resized to this size, channels times `scale`, minus `mean`, by `std`."""

    width: int = Field(ge=16, le=4096)
    height: int = Field(ge=16, le=4096)
    scale: float = Field(default=1 / 255, gt=0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    name: str | None = None  # of the graph's input; the only one if not given


class DepthCard(Config):
    """Description of a depth network. Fields without a default are required."""

    name: str = Field(min_length=1)
    file: str = Field(min_length=1)  # beside the card
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    licence: str = Field(min_length=1)
    trained_on: str = Field(min_length=1)
    kind: DepthKind  # of the output
    unit_m: float = Field(default=1.0, gt=0)  # of metric output
    along: Literal["axis", "ray"] = "axis"
    output: str | None = None  # of the graph; the first if not given
    input: CardInput
    source: str = ""  # where the file is to be had


def read_card(path: Path) -> DepthCard:
    with reading(path, "a card of a depth network", advice="give the JSON of a card (docs/depth.md)"):
        data = read_file(path, _MAX_CARD_BYTES)
        tree = json.loads(data)
        if not isinstance(tree, dict):
            raise ValueError("no JSON object")
    return validate_config(DepthCard, tree, origin=str(path))


def model_bytes(card: DepthCard, path: Path) -> bytes:
    """The network's file, if it is the one that the card was written for."""
    if Path(card.file).name != card.file:
        raise ConfigError(f"{path}: `file` is {card.file!r}; the network lies beside its card, give its name alone.")
    model = path.parent / card.file
    if not model.is_file():
        told = f"; it is to be had at {card.source}" if card.source else ""
        raise InputError(f"{path} is the card of {card.file}, which does not lie beside it{told}.")
    if model.stat().st_size > _MAX_MODEL_BYTES:
        raise InputError(f"{model} has more than {_MAX_MODEL_BYTES:,} bytes; give a smaller network.")
    with reading(model, "a network", advice="check its permissions"):
        data = model.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != card.sha256:
        raise InputError(f"{model} has the sha256 {found} and its card says {card.sha256}; it is another file.")
    return data
