"""Targets of bottom-up grouping on an image that fits on paper."""

import math

import torch

from panoptic3d.data.centre_targets import centre_targets, centres_at
from panoptic3d.structures.taxonomy import CEILING, CHAIR, FRONT3D_TAXONOMY, MATTERPORT_TAXONOMY, VOID, WALL


def image() -> tuple[torch.Tensor, torch.Tensor]:
    """A wall, a chair of 2x3 pixels at rows 3..4 and columns 10..12, a ceiling in the first row, void in the last."""
    semantic = torch.full((8, 20), WALL, dtype=torch.uint8)
    instance = torch.full((8, 20), 5, dtype=torch.int32)
    for rows, columns, label, number in (
        (slice(3, 5), slice(10, 13), CHAIR, 7),
        (slice(0, 1), slice(None), CEILING, 9),
    ):
        semantic[rows, columns], instance[rows, columns] = label, number
    semantic[7], instance[7] = VOID, 0
    return semantic, instance


def test_a_chair_has_a_centre() -> None:
    made = centre_targets(*image(), FRONT3D_TAXONOMY, small_weight=3.0)
    assert made.ids == (7,)
    assert made.class_ids == (CHAIR,)
    assert made.centres.tolist() == [[3.5, 11.0]]
    assert made.offsets[:, 4, 12].tolist() == [-0.5, -1.0]
    assert made.offsets[:, 3, 10].tolist() == [0.5, 1.0]
    assert not made.offsets[:, 0].any()
    assert float(made.heat[3, 11]) == 1.0
    assert math.isclose(float(made.heat[5, 11]), math.exp(-4 / 128), rel_tol=1e-6)
    assert made.is_thing.sum() == 6
    assert made.semantic_weight[3, 10] == 3.0
    assert made.semantic_weight[0, 0] == 1.0


def test_what_a_taxonomy_ignores_becomes_void_and_asks_for_nothing() -> None:
    made = centre_targets(*image(), FRONT3D_TAXONOMY, small_weight=1.0)
    assert (made.semantic[0] == VOID).all()
    assert not made.is_heat_asked[0].any()
    assert not made.is_heat_asked[7].any()
    assert made.is_heat_asked[1:7].all()
    other = centre_targets(*image(), MATTERPORT_TAXONOMY, small_weight=1.0)
    assert (other.semantic[0] == CEILING).all()
    assert other.is_heat_asked[0].all()


def test_the_class_of_an_id_is_that_of_its_first_pixel() -> None:
    semantic, instance = image()
    semantic[3, 10] = WALL
    assert centre_targets(semantic, instance, FRONT3D_TAXONOMY, 1.0).ids == ()


def test_an_image_without_things() -> None:
    semantic = torch.full((4, 5), WALL, dtype=torch.uint8)
    made = centre_targets(semantic, torch.ones(4, 5, dtype=torch.int32), FRONT3D_TAXONOMY, 3.0)
    assert made.centres.shape == (0, 2)
    assert not made.heat.any()
    assert not made.offsets.any()


def test_centres_on_a_smaller_map() -> None:
    """A thing of the first four of eight columns is in the middle of the first two of four."""
    centres = torch.tensor([[1.5, 1.5]], dtype=torch.float64)
    assert centres_at(centres, (8, 8), (4, 4), "exact").tolist() == [[0.5, 0.5]]
    assert centres_at(centres, (8, 8), (4, 4), "halved").tolist() == [[0.75, 0.75]]
