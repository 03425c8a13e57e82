import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from panoptic3d.geometry.distance import distance_to_box_surface
from panoptic3d.geometry.thickening import thicken
from panoptic3d.geometry.voxels import linear_index, nearest_voxels, trilinear


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 7)),
    st.sampled_from([(0, 0), (-1, 1), (0, 2), (-2, 0), (-3, 3), (1, 2)]),
    st.integers(0, 2**31),
)
def test_thickening_equals_marking_every_offset(shape: tuple[int, int, int], span: tuple[int, int], seed: int) -> None:
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.2
    expected = torch.zeros_like(mask)
    for point in mask.nonzero().tolist():
        for offset in itertools.product(range(span[0], span[1] + 1), repeat=3):
            target = [p + o for p, o in zip(point, offset, strict=True)]
            if all(0 <= t < n for t, n in zip(target, shape, strict=True)):
                expected[tuple(target)] = True
    assert torch.equal(thicken(mask, *span), expected)


def test_nearest_voxels_round_halves_up_and_flag_the_outside() -> None:
    index = torch.tensor([[0.5, 1.49, -0.5], [3.5, 0.0, 0.0], [-0.51, 0.0, 0.0], [float("nan"), 0.0, 0.0]])
    nearest, is_inside = nearest_voxels(index, (4, 4, 4))
    assert nearest[0].tolist() == [1, 1, 0]
    assert is_inside.tolist() == [True, False, False, False]
    assert linear_index(nearest[:1], (4, 4, 4)).tolist() == [16 + 4]
    assert nearest_voxels(torch.zeros(0, 3), (4, 4, 4))[0].shape == (0, 3)


def test_trilinear_reproduces_linear_fields_and_stored_values() -> None:
    axes = torch.meshgrid(torch.arange(5.0), torch.arange(4.0), torch.arange(6.0), indexing="ij")
    volume = 2 * axes[0] - 3 * axes[1] + 0.5 * axes[2] + 1
    index = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([4.0, 3.0, 5.0])
    expected = 2 * index[:, 0] - 3 * index[:, 1] + 0.5 * index[:, 2] + 1
    torch.testing.assert_close(trilinear(volume, index), expected)
    corner = torch.tensor([[4.0, 3.0, 5.0], [9.0, -2.0, 5.0]])
    assert trilinear(volume, corner).tolist() == [volume[4, 3, 5].item(), volume[4, 0, 5].item()]
    assert trilinear(torch.ones(1, 1, 1), torch.zeros(1, 3)).tolist() == [1.0]


@pytest.mark.parametrize("half_size", [(1.0, 0.5, 2.0), (1.0, 0.0, 1.5)])
def test_box_distance_equals_distance_to_a_dense_sampling_of_its_surface(half_size: tuple[float, ...]) -> None:
    half = torch.tensor(half_size)
    unit = torch.linspace(-1, 1, 41)
    faces = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            a, b = torch.meshgrid(unit, unit, indexing="ij")
            face = torch.stack((a.flatten(), b.flatten(), torch.full((41 * 41,), side)), dim=1)
            faces.append(face.roll(axis, dims=1) * half)
    points = torch.rand(60, 3, generator=torch.Generator().manual_seed(1)) * 6 - 3
    expected = torch.cdist(points, torch.cat(faces)).amin(dim=1)
    torch.testing.assert_close(distance_to_box_surface(points, half), expected, rtol=0, atol=0.06)
