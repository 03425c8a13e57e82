"""A depth network from an ONNX file and its card, run by onnxruntime on the processor."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor

from panoptic3d.config import fingerprint
from panoptic3d.errors import reading
from panoptic3d.optional import require
from panoptic3d.structures.given_depth import DepthKind
from panoptic3d.teachers.card import CardInput, DepthCard, model_bytes, read_card
from panoptic3d.teachers.teacher import DepthTeacher, as_depths

_QUIET = 4  # what is wrong is said once, by the exception


@dataclass(frozen=True, eq=False)
class OnnxTeacher(DepthTeacher):
    card: DepthCard
    path: Path  # of the card
    session: Any  # onnxruntime.InferenceSession

    def __call__(self, image: UInt8[Tensor, "3 h w"]) -> Float32[np.ndarray, "h2 w2"]:
        """Depth of the whole image at the network's own size; NaN where the output is not finite."""
        wanted = self.card.input
        name = wanted.name or self.session.get_inputs()[0].name
        with reading(self.path, "a network that fits its card", advice="compare its input and output with the card"):
            (said,) = self.session.run([self._output], {name: network_input(image, wanted)})
        return as_depths(said, f"the network of {self.path}", self.card.unit_m if self.kind == "metric" else 1.0)

    @property
    def kind(self) -> DepthKind:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.card.kind

    @property
    def along(self) -> Literal["axis", "ray"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.card.along

    @property
    def _output(self) -> str:
        return self.card.output or self.session.get_outputs()[0].name

    def facts(self) -> dict[str, Any]:
        card = self.card
        told = {"source": card.name, "sha256": card.sha256, "licence": card.licence, "trained_on": card.trained_on}
        return {**told, "card": fingerprint(card)}


def open_teacher(path: Path, num_threads: int = 1) -> OnnxTeacher:
    """What is wrong with card or network is said here, before the first photo."""
    card = read_card(path)
    data = model_bytes(card, path)
    onnxruntime = require("onnxruntime", f"{path}: running a depth network")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = num_threads
    with reading(path, "a card whose network loads", advice="give an ONNX file that onnxruntime runs"):
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    teacher = OnnxTeacher(card, path, session)
    teacher(torch.zeros(3, 64, 64, dtype=torch.uint8))
    return teacher


def network_input(image: UInt8[Tensor, "3 h w"], wanted: CardInput) -> Float32[np.ndarray, "1 a b c"]:
    pixels = image.float()[None]
    if tuple(image.shape[1:]) != (wanted.height, wanted.width):
        pixels = F.interpolate(pixels, size=(wanted.height, wanted.width), mode="bilinear", antialias=True)
    pixels = (pixels * wanted.scale - _column(wanted.mean)) / _column(wanted.std)
    if wanted.channels == "bgr":
        pixels = pixels.flip(1)
    return (pixels if wanted.layout == "nchw" else pixels.permute(0, 2, 3, 1)).contiguous().numpy()


def _column(values: tuple[float, float, float]) -> Float32[Tensor, "1 3 1 1"]:
    return torch.tensor(values).view(1, 3, 1, 1)
