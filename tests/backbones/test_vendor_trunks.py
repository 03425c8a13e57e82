"""Trunks of timm and torchvision: the contract with the packages where they are, and with stand-ins of their interfaces."""

import sys
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Trunk
from panoptic3d.backbones.vendor_trunks import TimmConfig, TimmTrunk, TorchvisionConfig, TorchvisionTrunk
from panoptic3d.errors import ConfigError, MissingPartError

MAPS = (8, 16, 24, 32)
TIMM = TimmConfig(model="house_net", maps=MAPS)
TORCHVISION = TorchvisionConfig(model="house_net", maps=MAPS, nodes=("a", "b", "c", "d"))


class Stages(nn.Module):
    """Maps at strides 2 to 32, as timm gives them, or by name, as torchvision does."""

    def __init__(self, names: dict[str, str] | None = None) -> None:
        super().__init__()
        widths = (3, 4, *MAPS)
        self.stages = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(widths))
        self.names = names
        self.feature_info = SimpleNamespace(reduction=lambda: [2, 4, 8, 16, 32], channels=lambda: [4, *MAPS])

    def forward(self, x: Tensor) -> Any:
        maps = [x := stage(x) for stage in self.stages]
        return maps if self.names is None else dict(zip(self.names.values(), maps[1:], strict=True))


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    timm, vision = ModuleType("timm"), ModuleType("torchvision")
    timm.create_model = lambda name, pretrained, features_only: Stages()  # type: ignore[attr-defined]
    vision.models = SimpleNamespace(  # type: ignore[attr-defined]
        get_model=lambda name, weights: name,
        feature_extraction=SimpleNamespace(create_feature_extractor=lambda model, names: Stages(names)),
    )
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "torchvision", vision)


def check(trunk: Trunk) -> None:
    for map_, channels, stride in zip(trunk(torch.zeros(1, 3, 64, 96)), trunk.channels, (4, 8, 16, 32), strict=True):
        assert map_.shape == (1, channels, 64 // stride, 96 // stride)


def test_four_maps_by_either(stand_ins: None) -> None:
    check(TimmTrunk.built(TIMM))
    check(TorchvisionTrunk.built(TORCHVISION))
    assert TIMM.channels == TORCHVISION.channels == MAPS


def test_a_config_that_says_other_maps_is_refused(stand_ins: None) -> None:
    wrong = (8, 16, 24, 33)
    with pytest.raises(
        ConfigError, match="timm's house_net has maps of 8, 16, 24, 32 channels and `maps` says 8, 16, 24, 33"
    ):
        TimmTrunk.built(TIMM.model_copy(update={"maps": wrong}))
    trunk = TorchvisionTrunk.built(TORCHVISION.model_copy(update={"maps": wrong}))
    with pytest.raises(ConfigError, match="torchvision's house_net has maps of"):
        trunk(torch.zeros(1, 3, 64, 96))


def test_without_the_package_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # importing it raises ImportError
    with pytest.raises(MissingPartError, match=r"the trunk 'house_net' needs timm"):
        TimmTrunk.built(TIMM)


def test_timm_itself() -> None:
    pytest.importorskip("timm", reason="pip install 'panoptic3d[timm]'; it needs torchvision")
    check(TimmTrunk.built(TimmConfig(model="resnet10t", maps=(64, 128, 256, 512))))


def test_torchvision_itself() -> None:
    pytest.importorskip("torchvision", reason="needs the CUDA build of the very torch release it was made for")
    nodes = ("layer1", "layer2", "layer3", "layer4")
    check(TorchvisionTrunk.built(TorchvisionConfig(model="resnet18", maps=(64, 128, 256, 512), nodes=nodes)))
