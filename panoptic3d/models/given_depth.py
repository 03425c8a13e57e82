"""Insert depth from elsewhere into the pipeline: fitted to the network's own depth, which fills its holes."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.geometry.affine_depth import median_log_ratio, robust_affine_fit
from panoptic3d.geometry.hole_filling import filled
from panoptic3d.geometry.room_planes import PlaneRules
from panoptic3d.models.depth_agreement import agreement, refuse_another_photo
from panoptic3d.models.seen_floor import measured_floor, small_floor_m
from panoptic3d.models.slots import Seen
from panoptic3d.structures.given_depth import MEASURED_LOG_SPREAD, DepthKind, GivenDepth
from panoptic3d.structures.pixel_map import PixelMap

_NEAREST_M, _FARTHEST_M = 0.05, 100.0  # fitted depth outside of this range is discarded
_LEAST_PIXELS = 16  # of a fit
_SMALL_FLOOR_LOG = 0.2  # a patch that would change the scale by more is the top of something
_BY_FLOOR = "height of the floor"
_FLOOR_RULES = PlaneRules(band_m=0.03, least_points=200)


@dataclass(frozen=True, eq=False)
class FittedDepth:
    """Metres where something is known, and how they came out of what was given."""

    depth_m: Float[Tensor, "h w"]
    is_measured: Bool[Tensor, "h w"]
    scale: float
    shift: float
    residual: float  # median of |log(given / own)|: how far the two are apart
    fitted_in: str | None  # what decided over scale and shift

    def facts(self, kind: DepthKind) -> dict[str, Any]:
        """For scene.json."""
        return {
            "kind": kind,
            "fitted_in": self.fitted_in,
            "scale": _short(self.scale),
            "shift": _short(self.shift),
            "residual": _short(self.residual),
            "share_measured": _short(float(self.is_measured.float().mean())),
        }


def with_given_depth(seen: Seen, given: GivenDepth) -> tuple[Seen, dict[str, Any]]:
    """Use a given depth for one image. All maps first take the scale of a metric depth, so that hidden surfaces
    move along with it; then what was measured takes the place of what was believed, and how the camera stands follows.
    """
    own_m = seen.rays.depth_m[0]
    fit = fitted_depth(at_map(seen, given), own_m, given.kind)
    if given.kind == "scale":
        fit = _with_floor_where_it_is(seen, fit)
    found = agreement(fit.depth_m, own_m, fit.is_measured)
    if given.is_checked:
        refuse_another_photo(found)
    facts = fit.facts(given.kind) | ({} if found is None else {"agreement": _short(found.correlation)})
    if fit.fitted_in in (None, _BY_FLOOR):
        factor = float(median_log_ratio(own_m[fit.is_measured].double(), fit.depth_m[fit.is_measured].double()).exp())
        seen, facts = seen.scaled(factor), facts | {"scale_of_own": _short(factor)}
    depth_m = filled(fit.depth_m, fit.is_measured, seen.rays.depth_m[0])
    told = max(math.log(max(fit.residual, 1e-3)), MEASURED_LOG_SPREAD) if given.log_spread is None else given.log_spread
    seen = replace(seen, rays=seen.rays.with_depth(depth_m[None], fit.is_measured[None], told))
    floor = measured_floor(seen, fit.is_measured, _FLOOR_RULES)
    if floor is not None:
        seen, facts = replace(seen, rays=seen.rays.standing_on(floor)), facts | {"floor_m": _short(-floor.offset_m)}
    return seen, facts


def _with_floor_where_it_is(seen: Seen, fit: FittedDepth) -> FittedDepth:
    """Depth of unknown scale, scaled so that its floor lies as far below the camera as the network says. That is known better
    than the depth of walls and things is (docs/experiments/2026-11-30-depth.md). Without a stance or a floor nothing changes.
    """
    stance = getattr(seen.rays, "stance", None)
    if stance is None:
        return fit
    shown = replace(seen, rays=seen.rays.with_depth(fit.depth_m[None], fit.is_measured[None], MEASURED_LOG_SPREAD))
    floor = measured_floor(shown, fit.is_measured, _FLOOR_RULES)
    floor_m = small_floor_m(shown, fit.is_measured, stance.down[0]) if floor is None else -floor.offset_m
    if floor_m is None:
        return fit
    factor = float(stance.floor_m[0]) / floor_m
    if floor is None and abs(math.log(factor)) > _SMALL_FLOOR_LOG:
        return fit
    own_m, depth_m = seen.rays.depth_m[0], torch.where(fit.is_measured, fit.depth_m * factor, 1.0)
    gap = (depth_m[fit.is_measured].double() / own_m[fit.is_measured].double()).log()
    return replace(
        fit,
        depth_m=depth_m,
        scale=fit.scale * factor,
        residual=float(gap.abs().median()),
        fitted_in=_BY_FLOOR,
    )


def at_map(seen: Seen, given: GivenDepth) -> Float[Tensor, "h w"]:
    """The given depth at the pixels of the network's depth map; NaN where it is unknown."""
    height, width = seen.rays.depth_m.shape[1:]
    to_map = seen.fitted.from_photo.then(PixelMap.between(seen.fitted.cameras[0], seen.rays.cameras[0]))
    way = to_map.inverse().then(given.from_image)
    return way.read(given.values.to(seen.rays.depth_m.device), width, height, float("nan"))


def fitted_depth(values: Float[Tensor, "h w"], own_m: Float[Tensor, "h w"], kind: DepthKind) -> FittedDepth:
    """Fit given depth robustly to the network's metric depth, in depth or in disparity depending on its kind."""
    is_known = values.isfinite() if kind in ("affine", "disparity") else values.isfinite() & (values > 0)
    if int(is_known.sum()) < (1 if kind == "metric" else _LEAST_PIXELS):
        raise InputError(
            f"the depth has {int(is_known.sum())} measured pixels in the picture; give one of this photo, with more."
        )
    source, own = values[is_known].double(), own_m[is_known].double()
    scale, shift = 1.0, 0.0
    match kind:
        case "scale":
            scale = float(median_log_ratio(source, own).exp())
        case "affine" | "disparity":
            fit = robust_affine_fit(source, own if kind == "affine" else 1 / own)
            scale, shift = float(fit.scale), float(fit.shift)
            _refuse_mirrored(scale, float(source.std()), kind)
    aligned = scale * torch.where(is_known, values, 1.0) + shift
    depth_m = torch.where(aligned > 0, 1 / aligned, torch.inf) if kind == "disparity" else aligned
    is_measured = is_known & (depth_m > _NEAREST_M) & (depth_m < _FARTHEST_M)
    if not bool(is_measured.any()):
        raise InputError(
            f"after its fit no pixel of the depth lies between {_NEAREST_M:g} and {_FARTHEST_M:g} m; check its kind and unit."
        )
    gap = depth_m[is_measured].double().log() - own_m[is_measured].double().log()
    depth_m = torch.where(is_measured, depth_m, 1.0).to(own_m)
    fitted_in = {"metric": None, "scale": "depth", "affine": "depth", "disparity": "disparity"}[kind]
    return FittedDepth(depth_m, is_measured, scale, shift, float(gap.abs().median()), fitted_in)


def _refuse_mirrored(scale: float, contrast: float, kind: DepthKind) -> None:
    if contrast == 0:
        raise InputError("the depth is the same everywhere, so that nothing can be fitted; give one of this photo.")
    if scale <= 0:
        other = "disparity" if kind == "affine" else "affine"
        raise InputError(
            f"as {kind} the depth fits the network's own only mirrored (scale {scale:.3g}); it may be {other}, or another "
            "photo's."
        )


def _short(value: float) -> float:
    return float(f"{value:.6g}")
