"""Depth that an evaluation adds to the photos: the true one, from files, or from another network."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from panoptic3d.data.given_depths import DepthOptions, DepthPlace, LoadedDepth, placed_depth
from panoptic3d.data.sensor_faults import SensorFaults, with_sensor_faults
from panoptic3d.errors import InputError
from panoptic3d.randomness import torch_generator
from panoptic3d.structures.given_depth import DepthKind, GivenDepth
from panoptic3d.structures.sample import Sample
from panoptic3d.teachers.onnx_depth import open_teacher
from panoptic3d.teachers.teacher import DepthTeacher


@runtime_checkable
class DepthSupply(Protocol):
    @property
    def facts(self) -> dict[str, Any]:
        """For the result; records that were made with others are not used again."""
        ...

    def of(self, sample: Sample) -> GivenDepth: ...


@dataclass(frozen=True)
class TrueDepth:
    """The sample's own, as it is or as a sensor would have it."""

    faults: SensorFaults | None = None
    seed: int = 0
    kind: DepthKind = "metric"  # what the network is told

    @property
    def facts(self) -> dict[str, Any]:
        faults = {} if self.faults is None else {"faults": self.faults.model_dump(mode="json")}
        return {"source": "truth", **faults, **DepthOptions(self.kind).facts()}

    def of(self, sample: Sample) -> GivenDepth:
        depth_m = sample.depth_m
        if self.faults is not None:
            depth_m = with_sensor_faults(depth_m, self.faults, torch_generator(self.seed, "sensor", sample.key))
        values = torch.where(depth_m > 0, depth_m, torch.nan)
        return placed_depth(LoadedDepth(values.numpy(), DepthOptions(self.kind)), sample.camera)


@dataclass(frozen=True)
class DepthFolder:
    """A depth a sample: `<scene>/<frame>.exr`, `<scene>/depth_<frame>.exr`, `<scene>_<frame>.exr`, or another ending."""

    place: DepthPlace

    @property
    def facts(self) -> dict[str, Any]:
        return {"source": self.place.path.name, "files": self._digest, **self.place.options.facts()}

    @cached_property
    def _digest(self) -> str:
        """Hash of the names, sizes, and modification times of the files. Cached, because every sample stores it."""
        files = sorted(p for p in self.place.path.rglob("*") if p.is_file())
        stamps = [[str(p.relative_to(self.place.path)), p.stat().st_size, p.stat().st_mtime_ns] for p in files]
        return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:16]

    def of(self, sample: Sample) -> GivenDepth:
        photo = Path(f"{sample.scene}_{sample.frame}")
        return placed_depth(self.place.load(photo, sample.key), sample.camera)


@dataclass(frozen=True)
class TeacherDepth:
    teacher: DepthTeacher

    @property
    def facts(self) -> dict[str, Any]:
        return self.teacher.facts()

    def of(self, sample: Sample) -> GivenDepth:
        options = DepthOptions(self.teacher.kind, self.teacher.along)
        loaded = LoadedDepth(self.teacher(sample.image), options, log_spread=None, is_stretched=True)
        return placed_depth(loaded, sample.camera)


def depth_supply(word: str, options: DepthOptions) -> DepthSupply:
    """`truth`, the JSON of a card, or a folder."""
    if word == "truth":
        if options != DepthOptions():
            raise InputError("--depth truth is metric and along the axis; leave the other options of depth out.")
        return TrueDepth()
    path = Path(word)
    if path.is_dir():
        return DepthFolder(DepthPlace(path, options))
    if not path.is_file():
        raise InputError(f"--depth is {word} and nothing lies there; give `truth`, a card, or a folder of depth maps.")
    if options != DepthOptions():
        raise InputError("a card says by itself what its depth means; leave the other options of depth out.")
    return TeacherDepth(open_teacher(path))
