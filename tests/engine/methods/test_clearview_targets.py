"""What our own method is trained towards, against slow or analytic twins."""

import pytest
import torch

from panoptic3d.data.dataset import open_dataset
from panoptic3d.engine.methods.clearview.targets import (
    BAND_VOX,
    band_cells,
    heat_of,
    layout_depth,
    plane_truth,
    spread_groups,
    thing_truth,
    truth_at,
)
from panoptic3d.structures.sample import Sample, VoxelTruth


@pytest.fixture(scope="module")
def sample(box_root) -> Sample:
    return open_dataset(box_root)[0]


@pytest.fixture(scope="module")
def truth(sample: Sample) -> VoxelTruth:
    assert sample.truth is not None
    return sample.truth


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_band_cells_are_the_pooled_band(truth: VoxelTruth, stride: int) -> None:
    dense = (truth.dense_distance_vox() < BAND_VOX).float()[None, None]
    slow = torch.nn.functional.max_pool3d(dense, stride, stride)[0, 0] > 0
    assert torch.equal(band_cells(truth, stride), slow)


def test_things_have_their_class_and_their_middle(sample: Sample, truth: VoxelTruth) -> None:
    things = thing_truth(truth, sample.taxonomy)
    assert len(things.ids) >= 2
    for number, (thing, label) in enumerate(zip(things.ids.tolist(), things.class_ids.tolist(), strict=True)):
        own = truth.instance == thing
        assert set(truth.semantic[own].tolist()) == {label}
        torch.testing.assert_close(things.centre_vox[number], truth.coords[own].float().mean(dim=0))
    numbers = things.number(truth.instance)
    assert torch.equal(numbers > 0, torch.isin(truth.instance.long(), things.ids))


def test_heat_is_one_at_every_centre_and_falls() -> None:
    cells = torch.cartesian_prod(*3 * [torch.arange(6.0)])
    heat = heat_of(cells, torch.tensor([[1.2, 1.0, 1.0], [4.0, 4.4, 4.0]]))
    assert cells[heat == 1].tolist() == [[1, 1, 1], [4, 4, 4]]
    assert float(heat[cells.tolist().index([1, 1, 2])]) == pytest.approx(
        float(torch.tensor(-(0.2**2 + 1) / 2).exp()), rel=1e-5
    )
    assert float(heat_of(cells, torch.zeros(0, 3)).sum()) == 0


def test_the_layout_is_the_wall_behind_the_things(sample: Sample, truth: VoxelTruth) -> None:
    layout = layout_depth(truth, sample.taxonomy, sample.camera.resized(160, 120))
    depth = sample.depth_m[::2, ::2]
    is_thing = torch.tensor([sample.taxonomy.is_thing(c) for c in range(13)])[sample.semantic_2d[::2, ::2].long()]
    known = (layout > 0) & (depth > 0) & (depth < 5.5)
    stuff = known & ~is_thing
    # Where stuff is seen it is the layout itself, up to what is hidden by an edge of the same wall.
    assert float((layout[stuff] - depth[stuff]).abs().median()) < 0.06
    behind = known & is_thing
    assert int(behind.sum()) > 50
    assert float((layout[behind] > depth[behind] - 0.05).float().mean()) > 0.98


def test_planes_know_the_surface_they_pass(sample: Sample, truth: VoxelTruth) -> None:
    camera = sample.camera.resized(160, 120)
    occupied, known = plane_truth(truth, camera, 51, 0.12)
    assert occupied.shape == (51, 120, 160)
    assert not bool((occupied & ~known).any())
    nearest = (sample.depth_m[::2, ::2] / 0.12).round().long().clamp(max=50)
    hit = occupied.gather(0, nearest[None])[0]
    in_reach = (sample.depth_m[::2, ::2] > 0.5) & (sample.depth_m[::2, ::2] < 5.8)
    assert float(hit[in_reach].float().mean()) > 0.9
    assert 0.01 < float(occupied[known].float().mean()) < 0.2


def test_unlisted_voxels_are_free_and_far(truth: VoxelTruth) -> None:
    own = truth_at(truth, torch.tensor([[0, 0, 0], truth.coords[5].tolist()]), 3.0)
    assert own.distance_vox.tolist()[0] == 3.0
    assert own.distance_vox[1] == truth.distance_vox[5].clamp(max=3.0)
    assert own.semantic.tolist() == [0, int(truth.semantic[5])]


def test_a_voxel_without_a_group_takes_one_of_its_cell() -> None:
    coords = torch.tensor([[0, 0, 0], [3, 3, 3], [4, 0, 0], [4, 1, 0], [4, 2, 0], [40, 40, 40]])
    group = torch.tensor([7, 0, 2, 5, 0, 0])
    assert spread_groups(coords, group).tolist() == [7, 7, 2, 5, 5, 0]
    assert spread_groups(coords[:0], group[:0]).tolist() == []
