"""The whole method as one config. Widths make its sizes; switches take single ideas out, for the ablations."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from panoptic3d.backbones.efficientnet_lite import EfficientNetLiteConfig
from panoptic3d.backbones.pyramid import TrunkConfig
from panoptic3d.config import Config
from panoptic3d.models.pipeline_config import (
    DecodeSlot,
    FitSlot,
    LiftSlot,
    NeckConfig,
    PanopticSlot,
    PipelineConfig,
    RaySlot,
    VoxelNetSlot,
    slot,
)
from panoptic3d.sparse.config import SparseConfig


class FitConfig(FitSlot):
    """Photos are scaled to about this many pixels, the aspect kept."""

    name: Literal["scaled"] = "scaled"
    width: int = Field(default=320, ge=64)
    height: int = Field(default=240, ge=48)


class PixelConfig(PanopticSlot):
    name: Literal["pixel-classes"] = "pixel-classes"
    has_votes: bool = False  # each pixel's vote for the centre of its thing


class RayConfig(RaySlot):
    name: Literal["layered"] = "layered"
    width: int = Field(default=32, ge=4)  # channels of the maps that voxels gather
    has_layout: bool = True  # the depth of the room behind the things
    has_planes: bool = True  # occupancy along each ray
    num_planes: int = Field(default=51, ge=2)
    plane_spacing_m: float = Field(default=0.12, gt=0)
    reads_measured: bool = False  # voxels read where depth was measured; without any, that is nowhere
    has_stance: bool = False  # gravity, height of the camera and of the ceiling, and depth along their planes

    def num_lifted(self, method: PipelineConfig) -> int:
        return self.width


class LiftConfig(LiftSlot):
    name: Literal["gather"] = "gather"
    # Cells farther than this from the visible surface of their pixel are left out; None: the whole frustum is evaluated.
    reach_m: float | None = Field(default=None, gt=0)
    # Cells that lie farther than this in front of the surface that their pixel shows, or behind wall, floor and ceiling, are
    # left out: most of a frustum is free space and other rooms. Hidden things lie between the two and stay.
    margin_m: float | None = Field(default=None, gt=0)
    # The margin grows by this many spreads of the pixel's depth: uncertain depth evaluates more cells.
    margin_spreads: float = Field(default=0, ge=0)

    def widths(self, method: PipelineConfig) -> Mapping[str, int]:
        from panoptic3d.models.clearview.gather import num_gathered  # which needs the configs of this file

        rays, pixels = method.rays, method.panoptic
        assert isinstance(rays, RayConfig), "see `misfit`"
        assert isinstance(pixels, PixelConfig), "see `misfit`"
        return vars(num_gathered(rays.width, len(method.classes), rays, pixels))

    def misfit(self, method: PipelineConfig) -> str | None:
        if isinstance(method.rays, RayConfig) and isinstance(method.panoptic, PixelConfig):
            return None
        return (
            f"lift 'gather' reads layers and votes, which rays {method.rays.name!r} and panoptic {method.panoptic.name!r} do "
            "not configure; base their configs on RayConfig and PixelConfig"
        )


class SeedConfig(Config):
    num_embedding: int = Field(default=8, ge=1)
    max_seeds: int = Field(default=24, ge=1)  # things of an image
    min_score: float = Field(default=0.25, ge=0, le=1)
    apart_cells: int = Field(default=3, ge=1)  # the window in which a seed is the strongest, in cells of stride 4
    votes: Literal["centres-and-embeddings", "centres", "embeddings"] = "centres-and-embeddings"


class VoxelNetConfig(VoxelNetSlot):
    name: Literal["refining-unet"] = "refining-unet"
    channels_64: tuple[int, ...] = (24, 48, 96)  # of the U-Net over the whole frustum: strides 4, 8, 16
    channels_128: int = Field(default=24, ge=4)
    channels_256: int = Field(default=16, ge=4)
    has_neighbours_256: bool = True  # else the finest voxels are refined one by one, which halves their cost
    starts_from_maps: bool = False  # occupancy, distances and votes are corrections of what the maps say by themselves
    num_classes: int = Field(default=13, ge=2)
    keep_64: float = Field(default=0.3, gt=0, lt=1)  # cells that are likelier occupied are refined
    keep_128: float = Field(default=0.3, gt=0, lt=1)
    keep_256: float = Field(default=0.3, gt=0, lt=1)
    seeds: SeedConfig = SeedConfig()
    sparse: SparseConfig = SparseConfig()

    def misfit(self, method: PipelineConfig) -> str | None:
        if self.num_classes != len(method.classes):
            return f"voxel_net.num_classes is {self.num_classes} and the taxonomy has {len(method.classes)}; make them equal"
        if self.starts_from_maps and not getattr(method.panoptic, "has_votes", False):
            return "voxel_net.starts_from_maps reads votes of pixels; set panoptic.has_votes"
        return None


class ConfidenceConfig(Config):
    """Weights of a logistic regression, fitted on validation rooms by `python -m eval.fusion.confidence --fit`."""

    bias: float = -1.83
    occupied: float = 0.67  # of the logit of P(occupied)
    log_spread: float = -0.69
    log_depth: float = -1.39  # of the logarithm of metres


class JudgeConfig(Config):
    """Weights of a logistic regression, in the order of `judge.FEATURES`, fitted by `python -m eval.race.judge`."""

    bias: float
    weights: tuple[float, ...] = Field(min_length=11, max_length=11)
    least: float = Field(default=0.0, ge=0, le=1)  # voxels of things that are less likely right become free space


class DecodeConfig(DecodeSlot):
    name: Literal["seeds"] = "seeds"
    surface_vox: float = Field(default=1.0, gt=0)  # a segment must have a shell within this distance
    min_shell_voxels: int = Field(default=20, ge=0)  # smaller segments are given back to the stuff around them
    # Voxels prefer seeds of their own class: this weight times the log of the class agreement is added to the membership.
    class_weight: float = Field(default=0.0, ge=0)
    flat_floor: bool = False  # moves the voxels of the floor onto the plane that fits them
    confidence: ConfidenceConfig = ConfidenceConfig()
    judge: JudgeConfig | None = None  # the score of a thing is its chance to be right; None: that of its seed


class ClearviewConfig(PipelineConfig):
    method: Literal["clearview"] = "clearview"
    fit: Annotated[FitSlot, slot("fit", "scaled")] = FitConfig()
    trunk: Annotated[TrunkConfig, slot("trunk", "efficientnet-lite0")] = EfficientNetLiteConfig()
    neck: NeckConfig | None = NeckConfig()
    panoptic: Annotated[PanopticSlot, slot("panoptic", "pixel-classes")] = PixelConfig()
    rays: Annotated[RaySlot, slot("rays", "layered")] = RayConfig()
    lift: Annotated[LiftSlot, slot("lift", "gather")] = LiftConfig()
    voxel_net: Annotated[VoxelNetSlot, slot("voxel_net", "refining-unet")] = VoxelNetConfig()
    decode: Annotated[DecodeSlot, slot("decode", "seeds")] = DecodeConfig()

    @model_validator(mode="before")
    @classmethod
    def _as_first_written(cls, tree: Any) -> Any:
        """Checkpoints from before the slots had names: the trunk was `lite0` with the width of the neck, and what seeds are
        stood beside the voxel net that makes them, and the panoptic slot was `pixels`.
        """
        if not isinstance(tree, Mapping):
            return tree
        tree = dict(tree)
        trunk = dict(tree.get("trunk") or {}) if isinstance(tree.get("trunk"), Mapping) else None
        if trunk is not None and str(trunk.get("name", "lite0")).removeprefix("efficientnet-").startswith("lite"):
            if "name" in trunk:
                trunk["name"] = f"efficientnet-{str(trunk['name']).removeprefix('efficientnet-')}"
            if "width" in trunk and "neck" not in tree:
                tree["neck"] = {"width": trunk.pop("width")}
            tree["trunk"] = trunk
        if "pixels" in tree:
            tree["panoptic"] = {**(tree.get("panoptic") or {}), **tree.pop("pixels")}
        if "seeds" in tree:
            net = dict(tree.get("voxel_net") or {})
            tree["voxel_net"] = {**net, "seeds": {**(net.get("seeds") or {}), **tree.pop("seeds")}}
        return tree
