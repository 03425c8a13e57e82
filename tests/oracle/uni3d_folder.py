"""A folder of Uni-3D oracle data: weights by its README's rule, frames, recorded tables and tolerances."""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_GAINS = {
    "sampling_offsets.weight": 0.3,
    "attention_weights.weight": 0.5,
    "in_proj_weight": 0.6,
    "output_proj.weight": 0.5,
    "out_proj.weight": 0.3,
    "linear2.weight": 0.3,
    "mask_embed.layers.2.weight": 0.15,
    "depth_embed.layers.2.weight": 0.01,
}
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Tolerance:
    """How far a table may be off: `share` of its values within `value`, and so many voxels in only one set."""

    value: float
    share: float = 1.0
    voxels: int = 0


@dataclass(frozen=True, eq=False)
class Uni3dFolder:
    """`scale` "multi" is the subfolder with the multi-scale network, whose 2D part is that of the folder itself."""

    root: Path
    scale: str = "single"

    @property
    def home(self) -> Path:
        return self.root / "multi_scale" if self.scale == "multi" else self.root

    @cached_property
    def names_shapes(self) -> Shapes:
        return {name: tuple(shape) for name, shape in json.loads((self.home / "names_shapes.json").read_text())}

    @cached_property
    def check(self) -> dict:
        return json.loads((self.home / "weights_check.json").read_text())

    @property
    def frames(self) -> list[str]:
        return sorted(path.parent.name for path in self.home.glob("*/lift.npz"))

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The reference's state dict."""
        with np.load(self.root / "overrides.npz", allow_pickle=False) as overrides:
            given = {name: overrides[name] for name in overrides.files}
        seed = int(self.check["seed"])
        return {name: torch.from_numpy(_weight(seed, name, self.names_shapes, given)) for name in self.names_shapes}

    @cached_property
    def frustum(self) -> Mapping[str, np.ndarray]:
        with np.load(self.root / "frustum.npz", allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    @cached_property
    def _tolerances(self) -> Mapping[str, Mapping]:
        found = json.loads((self.root / "tolerances.json").read_text())
        return found.get("arrays", found)

    def tolerance(self, name: str, *, fed_in: bool) -> Tolerance:
        text = self._tolerances[name]["suggested_fed_in" if fed_in else "suggested_end_to_end"]
        found = re.fullmatch(r"(?:(\d+) % within )?([\d.e+-]+)(?:; up to (\d+) voxels)?", text)
        assert found, f"{name}: cannot read the tolerance {text!r}"
        share, value, voxels = found.groups()
        return Tolerance(float(value), float(share or 100) / 100, int(voxels or 0))

    def image(self, frame: str) -> Tensor:
        pixels = np.asarray(Image.open(self.root / "inputs" / f"{frame}.png").convert("RGB"))
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]

    def recorded(self, frame: str, file: str) -> dict[str, np.ndarray]:
        """A table of the frame; those of the 2D part stand in the folder itself."""
        path = self.home / frame / f"{file}.npz"
        with np.load(path if path.exists() else self.root / frame / f"{file}.npz", allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    def summary(self, frame: str) -> dict:
        return json.loads((self.home / frame / "summary.json").read_text())


def _weight(seed: int, name: str, shapes: Shapes, overrides: Mapping[str, np.ndarray]) -> np.ndarray:
    shape = shapes[name]
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name in overrides:
        return np.asarray(overrides[name], dtype=np.float32).reshape(shape)
    value = _drawn(np.random.Generator(np.random.PCG64(zlib.crc32(f"{seed}/{name}".encode("ascii")))), name, shapes)
    if f"{name}:left" in overrides:
        left, right = (np.asarray(overrides[name + side], dtype=np.float64) for side in (":left", ":right"))
        value = value + (left @ right) * 2.0**-20
    return value.astype(np.float32)


def _drawn(random: np.random.Generator, name: str, shapes: Shapes) -> np.ndarray:
    shape = shapes[name]
    stem, kind = name.rsplit(".", 1)
    if any(part in name for part in ("query_feat", "query_embed", "level_embed")):
        return random.standard_normal(shape)
    if kind == "kernel":
        return random.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[:-1]))
    if kind == "weight" and shapes.get(f"{stem}.bias") == shape:  # scale of a norm
        return random.uniform(0.8, 1.2, shape)
    if kind in ("weight", "in_proj_weight"):
        gain = next((g for suffix, g in _GAINS.items() if name.endswith(suffix)), 1.0)
        return random.standard_normal(shape) * (gain * np.sqrt(2.0 / np.prod(shape[1:])))
    if kind in ("bias", "in_proj_bias"):
        return random.uniform(-0.1, 0.1, shape)
    raise KeyError(f"{name} must be among the overrides")
