"""Trunks of timm and torchvision by their names there, for who has these packages.

    trunk: {name: timm, model: convnext_tiny, maps: [96, 192, 384, 768]}
    trunk: {name: torchvision, model: resnet101, maps: [256, 512, 1024, 2048], nodes: [layer1, layer2, layer3, layer4]}

`maps` are the channels at strides 4, 8, 16 and 32. A config says them because neighbours ask for them before anything is
built; the network that was built is compared with them. No weights are fetched: a training starts from a local file.
"""

from typing import Any, ClassVar, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from panoptic3d.backbones.pretrained import load_torchvision_weights
from panoptic3d.backbones.pyramid import PixelRange, Pyramid, TrunkConfig
from panoptic3d.errors import ConfigError
from panoptic3d.optional import require

_STRIDES = (4, 8, 16, 32)
Four = tuple[int, int, int, int]


class VendorConfig(TrunkConfig):
    model: str = Field(min_length=1)
    maps: Four
    pixels: PixelRange = "imagenet"

    @property
    def channels(self) -> Four:
        return self.maps

    @property
    def pixel_range(self) -> PixelRange:
        return self.pixels


class TimmConfig(VendorConfig):
    name: Literal["timm"] = "timm"


class TorchvisionConfig(VendorConfig):
    name: Literal["torchvision"] = "torchvision"
    nodes: tuple[str, str, str, str]  # of `create_feature_extractor`, fine to coarse


class TimmTrunk(nn.Module):
    """A model of timm that gives features only."""

    config_kind: ClassVar = TimmConfig

    @classmethod
    def built(cls, config: TimmConfig) -> "TimmTrunk":
        return cls(config)

    def __init__(self, config: TimmConfig) -> None:
        super().__init__()
        timm = require("timm", f"the trunk {config.model!r}")
        self.inner: Any = timm.create_model(config.model, pretrained=False, features_only=True)
        strides, channels = self.inner.feature_info.reduction(), self.inner.feature_info.channels()
        if missing := [stride for stride in _STRIDES if stride not in strides]:
            raise ConfigError(
                f"timm's {config.model} has maps at strides {', '.join(map(str, strides))}, and a trunk needs {missing[0]} "
                "among them; choose another model."
            )
        self._places = [list(strides).index(stride) for stride in _STRIDES]
        self.channels = _checked(config, [channels[place] for place in self._places])

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Pyramid:
        maps = self.inner(image)
        return Pyramid(*(maps[place] for place in self._places))

    def load_pretrained(self, file: str) -> None:
        load_torchvision_weights(self.inner, file)


class TorchvisionTrunk(nn.Module):
    """A classifier of torchvision, cut at four of its nodes."""

    config_kind: ClassVar = TorchvisionConfig

    @classmethod
    def built(cls, config: TorchvisionConfig) -> "TorchvisionTrunk":
        return cls(config)

    def __init__(self, config: TorchvisionConfig) -> None:
        super().__init__()
        vision = require("torchvision", f"the trunk {config.model!r}")
        whole = vision.models.get_model(config.model, weights=None)
        names = {node: str(stride) for node, stride in zip(config.nodes, _STRIDES, strict=True)}
        self.inner: Any = vision.models.feature_extraction.create_feature_extractor(whole, names)
        self.channels, self._config = config.channels, config

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Pyramid:
        maps = self.inner(image)
        found = [maps[str(stride)] for stride in _STRIDES]
        _checked(self._config, [map_.shape[1] for map_ in found])
        return Pyramid(*found)

    def load_pretrained(self, file: str) -> None:
        load_torchvision_weights(self.inner, file)


def _checked(config: VendorConfig, found: list[int]) -> Four:
    if tuple(found) != config.maps:
        raise ConfigError(
            f"{config.name}'s {config.model} has maps of {', '.join(map(str, found))} channels and `maps` says "
            f"{', '.join(map(str, config.maps))}; write what it has."
        )
    return config.maps
