"""Depth that comes with a photo: find its file and unit, and check that it belongs to the frame of the photo."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from panoptic3d.data.arrays import array_of
from panoptic3d.data.depth_files import DEPTH_ENDINGS, depth_array, read_depth_file
from panoptic3d.errors import InputError
from panoptic3d.files import sha256_of_file
from panoptic3d.geometry.pinhole import unproject_depth_map
from panoptic3d.given import are_finite_numbers, is_finite_number
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.given_depth import DEPTH_KINDS, MEASURED_LOG_SPREAD, DepthKind, GivenDepth
from panoptic3d.structures.pixel_map import PixelMap

AnyDepth = str | os.PathLike[str] | np.ndarray | Tensor
_PHOTO_WORDS = ("rgb", "color", "colour", "image", "photo", "frame")  # cameras write color_0001 beside depth_0001
_PLAUSIBLE_M = (0.05, 200.0)  # plausible range for the median of a metric depth map
_SAME_LENS = 0.01  # largest relative difference of focal lengths, and of principal points relative to the size


@dataclass(frozen=True)
class DepthOptions:
    """How the numbers of depth files are meant."""

    kind: DepthKind = "metric"
    along: Literal["axis", "ray"] = "axis"
    unit_m: float | None = None  # none: whole numbers are millimetres, floats metres
    intrinsics: tuple[float, float, float, float] | None = None  # fx, fy, cx, cy in pixels of the depth
    is_unchecked: bool = False  # believe it even if it looks like the depth of another photo

    def __post_init__(self) -> None:
        if self.kind not in DEPTH_KINDS:
            raise InputError(f"a depth is of kind {', '.join(DEPTH_KINDS)}, not {self.kind!r}.")
        if self.along not in ("axis", "ray"):
            raise InputError(f"a depth is measured along the axis or along the ray, not along {self.along!r}.")
        if self.unit_m is not None and not (is_finite_number(self.unit_m) and self.unit_m > 0):
            raise InputError(f"the unit of a depth is a number of metres above 0, not {self.unit_m!r}.")
        if self.intrinsics is not None and not are_finite_numbers(self.intrinsics, 4):
            raise InputError(f"the intrinsics of a depth are four numbers fx, fy, cx, cy, not {self.intrinsics!r}.")

    def facts(self) -> dict[str, Any]:
        """Those that are not the defaults, for the options of a call."""
        default = DepthOptions()
        return {f"depth_{k}": v for k, v in asdict(self).items() if v != getattr(default, k)}


@dataclass(frozen=True, eq=False)
class LoadedDepth:
    values: Float32[np.ndarray, "h w"]  # NaN where nothing is known
    options: DepthOptions = DepthOptions()
    facts: dict[str, Any] = field(default_factory=dict)  # for scene.json
    log_spread: float | None = MEASURED_LOG_SPREAD  # None: as far as it is from the network's own
    is_stretched: bool = False  # the whole picture in pixels of any shape, as networks of one input size say it


def load_depth(depth: AnyDepth, options: DepthOptions = DepthOptions()) -> LoadedDepth:
    if isinstance(depth, Tensor):
        depth = array_of(depth, "a depth")
    if isinstance(depth, np.ndarray):
        values = depth_array(depth, "the depth in memory", options.unit_m)
        return LoadedDepth(_checked(values, "the depth in memory", options), options, {"source": "in memory"})
    if not isinstance(depth, str | os.PathLike):
        raise InputError(f"a depth is the path of a file, an array or a tensor, not {type(depth).__name__}.")
    values = _checked(read_depth_file(depth, options.unit_m), os.fspath(depth), options)
    facts = {"source": Path(depth).name, "sha256": sha256_of_file(Path(depth))}
    return LoadedDepth(values, options, facts)


def _checked(values: Float32[np.ndarray, "h w"], name: str, options: DepthOptions) -> Float32[np.ndarray, "h w"]:
    if options.kind in ("affine", "disparity"):
        return values
    if (values < 0).any():
        raise InputError(
            f"{name} holds negative depths (kind {options.kind}); write 0 or NaN where nothing was measured."
        )
    median, (low, high) = float(np.nanmedian(values)), _PLAUSIBLE_M
    if options.kind == "metric" and not low <= median <= high:
        raise InputError(
            f"{name} has a median depth of {median:g} m, which is no room's ({low:g} to {high:g} m); give --depth-unit, or "
            "--depth-kind scale where the unit is not known."
        )
    return values


def placed_depth(loaded: LoadedDepth, camera: Camera) -> GivenDepth:
    """For the picture that `camera` took. `InputError` where the depth is not registered to it."""
    height, width = loaded.values.shape
    scale = max(width / camera.width, height / camera.height)
    rounding = max(scale, 1.0) / min(camera.width, camera.height)
    if not loaded.is_stretched and abs(width / camera.width - height / camera.height) > rounding:
        turned = ", turned as the photo is" if (width > height) != (camera.width > camera.height) else ""
        raise InputError(
            f"the depth is {width}x{height} and the photo {camera.width}x{camera.height} as it is read, which is another "
            f"frame; give depth that is registered to this photo, pixel by pixel at any size{turned}."
        )
    own = camera.resized(width, height)
    _refuse_other_lens(loaded.options.intrinsics, own)
    values = torch.from_numpy(loaded.values)
    if loaded.options.along == "ray":
        values = values / _ray_length(own)
    way = PixelMap.resized((camera.width, camera.height), (width, height))
    is_checked = loaded.log_spread is not None and not loaded.options.is_unchecked
    return GivenDepth(values, way, loaded.options.kind, loaded.log_spread, is_checked)


def _ray_length(camera: Camera) -> Tensor:
    """Metres along the ray of each pixel for a metre along the axis."""
    return unproject_depth_map(torch.ones(camera.height, camera.width), camera.intrinsics.float()).norm(dim=-1)


def _refuse_other_lens(given: tuple[float, float, float, float] | None, own: Camera) -> None:
    if given is None:
        return
    depth = Camera(*given, own.width, own.height)
    gaps = (
        abs(depth.fx_px / own.fx_px - 1),
        abs(depth.fy_px / own.fy_px - 1),
        abs(depth.cx_px - own.cx_px) / own.width,
        abs(depth.cy_px - own.cy_px) / own.height,
    )
    if max(gaps) > _SAME_LENS:
        seen, is_there = (",".join(f"{v:.5g}" for v in (c.fx_px, c.fy_px, c.cx_px, c.cy_px)) for c in (depth, own))
        raise InputError(
            f"the depth's camera is {seen} and the photo's, at the size of the depth, {is_there}; register the depth to the "
            "photo (RGB-D cameras call it align or registered depth), or give the photo's true camera with --intrinsics."
        )


@dataclass(frozen=True)
class DepthPlace:
    """`--depth FILE_OR_FOLDER`: one file for the one photo, or a folder in which each photo's is found by its name."""

    path: Path
    options: DepthOptions

    def file_for(self, photo: Path, scene: str) -> Path:
        if not self.path.is_dir():
            return self.path
        names = dict.fromkeys((*_names_of(scene), *_names_of(photo.stem), *_names_of(photo.name)))
        found = [self.path / f"{n}{e}" for n in names for e in DEPTH_ENDINGS if (self.path / f"{n}{e}").is_file()]
        found += [self.path / n / "depth.exr" for n in names if (self.path / n / "depth.exr").is_file()]  # of --maps
        found = [file for file in found if not photo.exists() or not file.samefile(photo)]
        if not found:
            tried = ", ".join(f"{n}.exr" for n in list(names)[:3])
            raise InputError(f"{self.path} has no depth of {photo.name} (such as {tried}); name it like the photo.")
        if len(found) > 1:
            raise InputError(
                f"{self.path} has {len(found)} depths of {photo.name} ({found[0].name} and {found[1].name}); leave one."
            )
        return found[0]

    def load(self, photo: Path, scene: str) -> LoadedDepth:
        return load_depth(self.file_for(photo, scene), self.options)


def _names_of(name: str) -> list[str]:
    """The photo's own name first, then what RGB-D cameras and data sets call its depth."""
    folder, slash, last = name.rpartition("/")
    low = last.lower()
    others = [last[: low.find(w)] + "depth" + last[low.find(w) + len(w) :] for w in _PHOTO_WORDS if w in low]
    return [f"{folder}{slash}{n}" for n in (last, *others, f"{last}_depth", f"{last}-depth", f"depth_{last}")]
