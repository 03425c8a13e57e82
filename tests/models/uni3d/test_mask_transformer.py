"""The 2D stage: attention against plain loops, and the merge on images of a few pixels."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from panoptic3d.models.mask_transformer.config import JointDecoderConfig, MergeConfig, PixelDecoderConfig
from panoptic3d.models.mask_transformer.deformable_attention import DeformableAttention, sample_and_sum
from panoptic3d.models.mask_transformer.joint_decoder import JointDecoder
from panoptic3d.models.mask_transformer.merge import Kept, kept_queries, merged
from panoptic3d.models.mask_transformer.pixel_decoder import PixelDecoder, PixelFeatures
from panoptic3d.models.mask_transformer.positions import sine_positions
from panoptic3d.structures.taxonomy import CHAIR, FLOOR, FRONT3D_TAXONOMY, TABLE, VOID, WALL


def test_sampling_against_a_loop() -> None:
    random = torch.Generator().manual_seed(0)
    sizes, heads, channels, queries, points = ((3, 4), (2, 2)), 2, 3, 5, 4
    values = torch.rand(2, heads, 16, channels, generator=random)
    locations = torch.rand(2, heads, queries, 2, points, 2, generator=random) * 1.4 - 0.2
    weights = torch.rand(2, heads, queries, 2, points, generator=random)
    expected = torch.zeros(2, heads, queries, channels)
    for b, h, q, level, p in torch.cartesian_prod(*(torch.arange(n) for n in (2, heads, queries, 2, points))).tolist():
        height, width = sizes[level]
        map_ = values[b, h, :12] if level == 0 else values[b, h, 12:]
        x, y = (locations[b, h, q, level, p] * torch.tensor([width, height]) - 0.5).tolist()
        expected[b, h, q] += weights[b, h, q, level, p] * bilinear(map_.view(height, width, channels), x, y)
    torch.testing.assert_close(sample_and_sum(values, sizes, locations, weights), expected)


_INTERPRETED = """
import torch
from panoptic3d.models.mask_transformer.deformable_attention import sample_and_sum, sampled_with_grids

random, worst = torch.Generator().manual_seed(0), 0.0
for batch, heads, channels, queries in ((1, 1, 1, 1), (2, 3, 5, 40), (1, 2, 32, 33)):
    sizes = ((3, 4), (1, 2))
    values = torch.randn(batch, heads, 14, channels, generator=random).requires_grad_()
    locations = (torch.rand(batch, heads, queries, 2, 4, 2, generator=random) * 1.6 - 0.3).requires_grad_()
    weights = torch.rand(batch, heads, queries, 2, 4, generator=random).requires_grad_()
    made = [sample(values, sizes, locations, weights) for sample in (sample_and_sum, sampled_with_grids)]
    assert "Fused" in type(made[0].grad_fn).__name__
    weight = torch.randn(made[0].shape, generator=random)
    grads = [torch.autograd.grad((out * weight).sum(), (values, locations, weights)) for out in made]
    for ours, theirs in zip((made[0], *grads[0]), (made[1], *grads[1])):
        worst = max(worst, float((ours - theirs).abs().max()))
print(worst)
"""


@pytest.mark.slow
def test_the_fused_kernel_equals_its_twin_in_tritons_interpreter(repository: Path) -> None:
    """In a process of its own: the interpreter is chosen when Triton is imported."""
    pytest.importorskip("triton", reason="triton is not installed; the fused kernel needs it")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join([str(repository), *sys.path])}
    command = [sys.executable, "-W", "ignore", "-c", _INTERPRETED]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert float(result.stdout) <= 1e-5


def bilinear(map_: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """Zero outside."""
    total = torch.zeros(map_.shape[2])
    for row in range(map_.shape[0]):
        for column in range(map_.shape[1]):
            total += max(0.0, 1 - abs(x - column)) * max(0.0, 1 - abs(y - row)) * map_[row, column]
    return total


def test_attention_looks_at_first_in_eight_directions() -> None:
    """Each head one cell further with every point: to the right, down right, down ... (section 3.2)."""
    attention = DeformableAttention(16, num_heads=8, num_levels=3, num_points=4)
    offsets = attention.offsets.bias.view(8, 3, 4, 2)
    torch.testing.assert_close(offsets[0, 1], torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0]]))
    torch.testing.assert_close(offsets[1, 2, 0], torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(offsets[6, 0, 1], torch.tensor([0.0, -2.0]), atol=1e-6, rtol=0)


def test_positions_alternate_and_end_with_a_turn() -> None:
    code = sine_positions(3, 2, 8, torch.device("cpu"))
    assert code.shape == (8, 3, 2)
    torch.testing.assert_close(code[0, 2], torch.zeros(2), atol=1e-4, rtol=0)  # the sine of a whole turn
    torch.testing.assert_close(code[1, 2], torch.ones(2))
    assert torch.equal(code[:4, :, 0], code[:4, :, 1])  # rows in the first half
    assert torch.equal(code[4:, 0], code[4:, 1])


@pytest.fixture(scope="module")
def decoder() -> JointDecoder:
    torch.manual_seed(0)
    return JointDecoder(16, 3, JointDecoderConfig(num_queries=5, num_layers=3, num_heads=2, hidden=8)).eval()


def features(batch: int, seed: int = 0) -> PixelFeatures:
    random = torch.Generator().manual_seed(seed)
    sizes = ((2, 3), (4, 6), (8, 12), (16, 24), (16, 24))
    c32, c16, c8, mask, depth = (torch.randn(batch, 16, *size, generator=random) for size in sizes)
    return PixelFeatures((c32, c16, c8), mask, depth)


@torch.inference_mode()
def test_images_of_a_batch_do_not_meet(decoder: JointDecoder) -> None:
    together = decoder(features(3))[0]
    given = features(3)
    alone = decoder(
        PixelFeatures(tuple(m[1:2] for m in given.coarse), given.mask_features[1:2], given.depth_features[1:2])
    )
    torch.testing.assert_close(together.mask_logits[1:2], alone[0].mask_logits, atol=1e-4, rtol=1e-4)
    assert len(decoder(given, with_layers=True)) == 4


@torch.inference_mode()
def test_attention_ends_at_the_mask(decoder: JointDecoder) -> None:
    """Where the features say "mine", and everywhere for a query with an empty mask."""
    seen = torch.randn(1, 16, 2, 3)
    segments = decoder.segments.features.weight[None]
    logits = decoder.segments.map_of(decoder.segments.norm(segments), seen).flatten(2)
    allowed = decoder._allowed(segments, seen)
    for query in range(5):
        is_mine = logits[0, query] >= 0
        assert torch.equal(allowed[0, query], is_mine if is_mine.any() else torch.ones(6, dtype=torch.bool))


@torch.inference_mode()
def test_resized_features_make_the_masks_of_resized_products(decoder: JointDecoder) -> None:
    mask_features = torch.randn(1, 16, 16, 24)
    segments = decoder.segments.norm(decoder.segments.features.weight[None])
    of_products = F.interpolate(decoder.segments.map_of(segments, mask_features), size=(4, 6), mode="bilinear")
    resized = F.interpolate(mask_features, size=(4, 6), mode="bilinear")
    torch.testing.assert_close(decoder.segments.map_of(segments, resized), of_products, atol=1e-5, rtol=1e-5)


def test_widths_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="norm_groups"):
        PixelDecoderConfig(width=24, norm_groups=32)
    config = PixelDecoderConfig(width=16, num_layers=1, num_heads=2, hidden=8, norm_groups=4)
    assert PixelDecoder((4, 8, 16, 32), config).level_embed.shape == (3, 16)


def kept_of(*classes: int, scores: tuple[float, ...] = ()) -> Kept:
    chosen = scores or tuple(1.0 - 0.01 * i for i in range(len(classes)))
    return Kept(torch.arange(len(classes)), torch.tensor(classes, dtype=torch.int64), torch.tensor(chosen))


def merge_of(kept: Kept, masks: list[list[float]], min_overlap: float = 0.8):
    rows = torch.tensor(masks)[:, None]
    depth_m = torch.arange(1.0, len(rows) + 1)[:, None, None].expand_as(rows)
    return merged(kept, rows, depth_m, FRONT3D_TAXONOMY, 25.0, MergeConfig(min_overlap=min_overlap))


def test_pixels_go_to_the_best_query_and_carry_its_depth() -> None:
    result = merge_of(kept_of(CHAIR, TABLE), [[0.9, 0.9, 0.2], [0.1, 0.3, 0.8]])
    assert result.segment.tolist() == [[1, 1, 2]]
    assert result.depth_m.tolist() == [[1.0, 1.0, 2.0]]
    assert result.class_of_segment == (VOID, CHAIR, TABLE)
    torch.testing.assert_close(result.class_map[TABLE], torch.tensor([[0.0, 0.0, 0.8 * 0.99]]))


def test_a_query_that_lost_its_pixels_is_dropped() -> None:
    """The table's mask has four pixels; the chair wins three of them."""
    result = merge_of(kept_of(CHAIR, TABLE), [[0.9, 0.9, 0.9, 0.0], [0.8, 0.8, 0.8, 0.8]])
    assert result.segment.tolist() == [[1, 1, 1, 0]]
    assert result.segment_of_query.tolist() == [1, 0]
    assert result.depth_m[0, 3] == 0


def test_stuff_shares_a_segment_and_fills_what_is_open() -> None:
    """Two queries of the wall; the last pixel is in nobody's mask, and the first wall is the likelier one there."""
    masks = [[0.9, 0.0, 0.0, 0.4], [0.0, 0.9, 0.0, 0.3], [0.0, 0.0, 0.9, 0.0]]
    result = merge_of(kept_of(WALL, WALL, CHAIR), masks, min_overlap=0.5)
    assert result.segment.tolist() == [[1, 1, 2, 1]]
    assert result.depth_m.tolist() == [[1.0, 2.0, 3.0, 1.0]]
    assert result.class_of_segment == (VOID, WALL, CHAIR)


def test_what_is_open_stays_open_without_stuff() -> None:
    result = merge_of(kept_of(CHAIR), [[0.9, 0.4]])
    assert result.segment.tolist() == [[1, 0]]


def test_nothing_kept() -> None:
    result = merged(kept_of(), torch.zeros(0, 2, 2), torch.zeros(0, 2, 2), FRONT3D_TAXONOMY, 25.0, MergeConfig())
    assert result.segment.sum() == 0
    assert result.class_of_segment == (VOID,)


def test_which_queries_are_kept() -> None:
    """Nothing, too unsure, void, and a floor."""
    logits = torch.full((4, 14), -10.0)
    logits[0, 13], logits[2, VOID], logits[3, FLOOR] = 10.0, 10.0, 10.0
    assert kept_queries(logits, MergeConfig()).rows.tolist() == [3]
    assert kept_queries(logits, MergeConfig(void="kept")).rows.tolist() == [2, 3]
