"""The augmentation of Uni-3D's 2D stage."""

from dataclasses import replace

import pytest
import torch

from panoptic3d.config import validate_config
from panoptic3d.data.loader import LoaderConfig
from panoptic3d.data.ssd_augment import SsdAugmentConfig, hsv_of, recolored, rgb_of, ssd_augmented, zoomed
from panoptic3d.errors import ConfigError
from tests.engine.methods.conftest import room


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_colours_there_and_back() -> None:
    """Pure colours exactly; any other within the whole steps of hue and saturation."""
    pure = torch.tensor([[255, 0, 0, 255, 0, 128], [0, 255, 0, 255, 0, 128], [0, 0, 255, 0, 0, 128]], dtype=torch.uint8)
    hue, colour, value = hsv_of(pure[:, None])
    assert hue.tolist() == [[0, 60, 120, 30, 0, 0]]
    assert colour.tolist() == [[255, 255, 255, 255, 0, 0]]
    assert value.tolist() == [[255, 255, 255, 255, 0, 128]]
    assert torch.equal(rgb_of(hue, colour, value), pure[:, None])
    image = torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8, generator=stream())
    assert (rgb_of(*hsv_of(image)).int() - image.int()).abs().max() <= 5


def test_hue_turns_red_into_orange() -> None:
    hue, colour, value = hsv_of(torch.tensor([255, 0, 0], dtype=torch.uint8).view(3, 1, 1))
    assert rgb_of(hue + 15, colour, value).flatten().tolist() == [255, 128, 0]


def test_recoloring_is_a_function_of_its_stream_and_does_something() -> None:
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8, generator=stream())
    assert torch.equal(recolored(image, stream(3)), recolored(image, stream(3)))
    assert sum(not torch.equal(recolored(image, stream(seed)), image) for seed in range(20)) >= 12


def test_twice_the_size_is_half_the_distance_within_what_is_seen() -> None:
    sample = room(0)  # 96x64: a wall at 4 m, boards at 2 and 2.5 m
    near = zoomed(sample, 128, 96, 0.0, 0.0)
    assert near.image.shape == (3, 96, 96)
    assert set(near.depth_m.unique().tolist()) <= {2.0, 2.5}  # 4 m becomes 2 m; what would be nearer stays at the least
    assert near.camera.fx_px == pytest.approx(2 * sample.camera.fx_px)
    i, j = torch.meshgrid(torch.arange(96) // 2, torch.arange(96) // 2, indexing="ij")
    assert torch.equal(near.semantic_2d, sample.semantic_2d[i, j])


def test_a_small_picture_gets_a_border_that_says_nothing() -> None:
    sample = room(0)
    small = zoomed(replace(sample, depth_m=torch.full_like(sample.depth_m, 2.0)), 32, 96, 0.7, 0.2)
    assert small.depth_m[:32, :48].unique().tolist() == [2.0]  # twice as far, but never farther than the window shows
    assert int(small.depth_m[32:].sum()) == int(small.semantic_2d[:, 48:].sum()) == 0
    assert small.image[:, 40, 60].tolist() == [124, 116, 104]


def test_samples_of_a_batch_keep_one_size() -> None:
    config = SsdAugmentConfig(kind="ssd", flip=0.5, shorter_px=(32, 64, 128), window_px=64)
    sizes = {tuple(ssd_augmented(room(0), config, stream(seed)).image.shape) for seed in range(6)}
    assert sizes == {(3, 64, 64)}
    whole = ssd_augmented(room(0), SsdAugmentConfig(kind="ssd"), stream())
    assert torch.equal(whole.depth_m, room(0).depth_m)


def test_the_loader_tells_it_by_its_kind() -> None:
    read = validate_config(LoaderConfig, {"augment": {"kind": "ssd", "window_px": 64}}, origin="test")
    assert isinstance(read.augment, SsdAugmentConfig)
    assert not isinstance(
        validate_config(LoaderConfig, {"augment": {"flip": 0.1}}, origin="test").augment, SsdAugmentConfig
    )
    with pytest.raises(ConfigError):
        validate_config(LoaderConfig, {"augment": {"kind": "ssd", "noise": 1.0}}, origin="test")
