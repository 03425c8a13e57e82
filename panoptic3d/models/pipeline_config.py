"""The config of a method: each slot has one filling, chosen by name. It checks that neighbours fit before anything is built.

The arguments of a filling's constructor are its own business: its class has `config_kind`, the config that the YAML fills,
and `built(config, method)`, which may ask the neighbours' configs for what they give.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from panoptic3d.backbones.feature_pyramid import FeaturePyramid
from panoptic3d.backbones.pyramid import PixelRange, Trunk, TrunkConfig
from panoptic3d.choices import EVERYBODY, Choice, component_of
from panoptic3d.config import Config
from panoptic3d.models.fillings import FILLINGS
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.ports import misfit_of_types
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, MATTERPORT_TAXONOMY, Taxonomy

TAXONOMIES = {"front3d": FRONT3D_TAXONOMY, "matterport3d": MATTERPORT_TAXONOMY}
Channels = tuple[int, int, int, int]


class SlotConfig(Config):
    """Base config of all fillings except trunks."""

    name: str

    def misfit(self, method: "PipelineConfig") -> str | None:
        """What of the neighbours' numbers does not fit, in one sentence without its end."""
        return None


class FitSlot(SlotConfig):
    pass


class PanopticSlot(SlotConfig):
    @property
    def num_query_channels(self) -> int:
        """Channels of the query embeddings, for methods that compare them with voxels."""
        return 0


class RaySlot(SlotConfig):
    def num_lifted(self, method: "PipelineConfig") -> int:
        """Features of each pixel, which the lift takes to voxels."""
        raise NotImplementedError


class LiftSlot(SlotConfig):
    def widths(self, method: "PipelineConfig") -> Mapping[str, int]:
        """Channels of what is lifted, by name and in order."""
        raise NotImplementedError


class VoxelNetSlot(SlotConfig):
    truncation_vox: float = 3.0  # where the distance field ends


class DecodeSlot(SlotConfig):
    pass


class NeckConfig(Config):
    """A feature pyramid behind the trunk: all four maps then have `width` channels."""

    width: int = Field(default=64, ge=8, le=8192)


def slot(name: str, default: str) -> Choice:
    """Annotation of a config field that is a slot. `default` is the filling of a mapping without a `name`."""
    return Choice(name, FILLINGS[name], default)


class PipelineConfig(Config):
    """A subclass gives each slot its default: `trunk: Annotated[TrunkConfig, slot("trunk", "resnet18")] = ResNet18Config()`.

    `method` tells a checkpoint's files from those of other methods.
    """

    method: str = ""  # training writes the name under which it found the method
    taxonomy: Literal["front3d", "matterport3d"] = "front3d"
    fit: FitSlot
    trunk: TrunkConfig
    neck: NeckConfig | None = None
    panoptic: PanopticSlot
    rays: RaySlot
    lift: LiftSlot
    voxel_net: VoxelNetSlot
    decode: DecodeSlot

    SLOTS: ClassVar = ("fit", "trunk", "panoptic", "rays", "lift", "voxel_net", "decode")

    @property
    def pixel_range(self) -> PixelRange:
        """How the trunk wants its pixels."""
        return self.trunk.pixel_range

    @property
    def channels(self) -> Channels:
        """Channels of the pyramid's maps, from fine to coarse."""
        if self.neck is not None:
            width = self.neck.width
            return width, width, width, width
        return self.trunk.channels

    @property
    def classes(self) -> Taxonomy:
        """Void and the classes of things and stuff."""
        return TAXONOMIES[self.taxonomy]

    @model_validator(mode="after")
    def _slots_fit(self) -> "PipelineConfig":
        components = {name: self.component(name) for name in self.SLOTS}
        names = {name: getattr(self, name).name for name in self.SLOTS}
        complaints = [misfit_of_types(components, names)]
        if complaints[0] is None:  # numbers of fillings that do not fit say nothing
            complaints += [getattr(self, name).misfit(self) for name in self.SLOTS if name != "trunk"]
        for complaint in complaints:
            if complaint is not None:
                raise ValueError(complaint)
        return self

    def component(self, name: str) -> Any:
        """The class that fills a slot. Reading the config has checked already that its package is trusted."""
        return component_of(name, getattr(self, name).name, FILLINGS[name], trust=(EVERYBODY,))

    def build(self) -> Pipeline[Any, Any, Any, Any]:
        """Build the pipeline with random initial weights, in evaluation mode."""
        trunk: Trunk = self.component("trunk").built(self.trunk)
        others = {name: self.component(name) for name in self.SLOTS if name != "trunk"}
        if self.neck is not None:
            trunk = FeaturePyramid(trunk, self.neck.width)
        fillings = {name: component.built(getattr(self, name), self) for name, component in others.items()}
        return Pipeline(trunk=trunk, **fillings).eval()
