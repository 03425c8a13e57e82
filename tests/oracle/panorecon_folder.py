"""A folder of PanoRecon oracle data: weights by its README's rule, frames, recorded tables and tolerances."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_GAINS = {
    "rpn.head.cls_logits.weight": 0.25,
    "rpn.head.bbox_pred.weight": 0.15,
    "predictor.cls_score.weight": 3.0,
    "predictor.bbox_pred.weight": 0.5,
    "predictor.mask_fcn_logits.weight": 1.5,
}


@dataclass(frozen=True, eq=False)
class OracleFolder:
    root: Path
    gains: ClassVar[Mapping[str, float]] = _GAINS  # endings of names whose drawn weights are scaled

    @cached_property
    def names_shapes(self) -> list[tuple[str, tuple[int, ...]]]:
        return [(name, tuple(shape)) for name, shape in json.loads((self.root / "names_shapes.json").read_text())]

    @cached_property
    def seed(self) -> int:
        """The README states it: the one whose weights have the recorded sums."""
        check = json.loads((self.root / "weights_check.json").read_text())
        if "seed" in check:
            return int(check["seed"])
        text = (self.root / "README.md").read_text()
        return int(text.split("Seed of this set: **")[1].split("**")[0])

    @property
    def frames(self) -> list[str]:
        return sorted(path.parent.name for path in self.root.glob("*/stage2d.npz"))

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The reference's state dict."""
        with np.load(self.root / "overrides.npz", allow_pickle=False) as overrides:
            arrays = oracle_weights(self.seed, self.names_shapes, overrides, self.gains)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    @cached_property
    def tolerances(self) -> dict[str, dict[str, Any]]:
        return json.loads((self.root / "tolerances.json").read_text())["arrays"]

    def image(self, frame: str) -> Tensor:
        pixels = np.asarray(Image.open(self.root / "inputs" / f"{frame}.png").convert("RGB"))
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]

    def recorded(self, frame: str, file: str) -> Mapping[str, np.ndarray]:
        return np.load(self.root / frame / f"{file}.npz", allow_pickle=False)


def oracle_weights(
    seed: int,
    names_shapes: list[tuple[str, tuple[int, ...]]],
    overrides: Mapping[str, np.ndarray],
    gains: Mapping[str, float],
) -> dict[str, np.ndarray]:
    shapes = dict(names_shapes)
    return {name: _one_weight(seed, name, shape, shapes, overrides, gains) for name, shape in names_shapes}


def _one_weight(
    seed: int,
    name: str,
    shape: tuple[int, ...],
    shapes: Mapping[str, tuple[int, ...]],
    overrides: Mapping[str, np.ndarray],
    gains: Mapping[str, float],
) -> np.ndarray:
    if name in overrides:
        return np.asarray(overrides[name], dtype=np.float32).reshape(shape)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    gain = next((g for suffix, g in gains.items() if name.endswith(suffix)), 1.0)
    random = np.random.Generator(np.random.PCG64(zlib.crc32(f"{seed}/{name}".encode("ascii"))))
    stem, kind = name.rsplit(".", 1)
    if kind == "kernel":
        value = random.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[:-1]))
    elif kind == "weight" and shapes.get(f"{stem}.bias") == shape:  # scale of a norm
        value = gain * random.uniform(0.8, 1.2, shape)
    elif kind == "weight":
        value = random.standard_normal(shape) * (gain * np.sqrt(2.0 / np.prod(shape[1:])))
    elif kind == "bias":
        value = random.uniform(-0.1, 0.1, shape)
    else:
        raise KeyError(f"{name} must be among the overrides")
    return value.astype(np.float32)
