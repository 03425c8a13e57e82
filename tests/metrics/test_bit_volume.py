"""Bit volumes are sets of voxels: the same as boolean volumes, faster."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panoptic3d.metrics.bit_volume import grown, pack_volume, pack_voxels

shapes = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 200))
ranges = st.tuples(st.integers(-3, 3), st.integers(0, 3)).map(lambda r: (r[0], r[0] + r[1]))


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    shape = draw(shapes)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.random(shape) < draw(st.sampled_from([0.0, 0.01, 0.3, 1.0]))


@given(masks())
def test_packing_forgets_nothing(mask: np.ndarray) -> None:
    of_voxels, of_volume = pack_voxels(np.flatnonzero(mask), mask.shape), pack_volume(mask)
    np.testing.assert_array_equal(of_voxels.dense(), mask)
    np.testing.assert_array_equal(of_volume.dense(), mask)
    assert of_voxels.count == of_volume.count == mask.sum()


@given(masks(), ranges, ranges, ranges)
def test_growing_marks_every_offset_and_nothing_else(mask: np.ndarray, x, y, z) -> None:
    expected = np.zeros_like(mask)
    for voxel in np.argwhere(mask):
        low = np.maximum(voxel + np.array([x[0], y[0], z[0]]), 0)
        high = np.maximum(voxel + np.array([x[1], y[1], z[1]]) + 1, 0)
        expected[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    volume = grown(pack_voxels(np.flatnonzero(mask), mask.shape, (x, y, z)), (x, y, z))
    inside = volume.masked(pack_volume(np.ones_like(mask)))
    np.testing.assert_array_equal(inside.dense(), expected)


@given(masks(), st.integers(0, 2**32 - 1))
def test_intersections_are_those_of_sets(mask: np.ndarray, seed: int) -> None:
    other = np.random.default_rng(seed).random(mask.shape) < 0.2
    a, b = (pack_voxels(np.flatnonzero(m), mask.shape) for m in (mask, other))
    assert a.intersection_count(b) == b.intersection_count(a) == (mask & other).sum()
    np.testing.assert_array_equal(a.masked(pack_volume(other)).dense(), mask & other)


@pytest.mark.parametrize("corner", [(0, 0, 0), (255, 255, 255), (0, 255, 64)])
def test_a_voxel_at_the_border_grows_inwards_only(corner: tuple[int, int, int]) -> None:
    shape = (256, 256, 256)
    index = np.array([np.ravel_multi_index(corner, shape)])
    ranges = ((-1, 1),) * 3
    volume = grown(pack_voxels(index, shape, ranges), ranges).masked(pack_volume(np.ones(shape, dtype=bool)))
    assert volume.count == np.prod([2 if c in (0, 255) else 3 for c in corner])
