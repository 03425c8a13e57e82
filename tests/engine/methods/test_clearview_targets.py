"""What our own method is trained towards, against slow or analytic twins."""

from dataclasses import replace

import pytest
import torch

from panoptic3d.data.dataset import open_dataset
from panoptic3d.engine.methods.clearview.near_truth import TruthTable, near_surfaces
from panoptic3d.engine.methods.clearview.targets import (
    BAND_VOX,
    band_cells,
    heat_of,
    layout_depth,
    plane_truth,
    spread_groups,
    thing_truth,
)
from panoptic3d.geometry.pinhole import pixel_grid, unproject
from panoptic3d.geometry.voxels import nearest_voxels
from panoptic3d.sparse.voxels import voxel_set
from panoptic3d.structures.sample import Sample, VoxelTruth

LISTED = ("distance_vox", "semantic", "instance")


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


def test_a_table_of_truths_says_what_their_volumes_say(sample: Sample, truth: VoxelTruth) -> None:
    other = replace(truth, linear_index=truth.linear_index[7:], **{n: getattr(truth, n)[7:] for n in LISTED})
    table = TruthTable.of([near_surfaces(t, 3.0) for t in (truth, other)])
    draw = torch.Generator().manual_seed(0)
    cells = torch.cat(
        (torch.randint(0, 256, (500, 3), generator=draw), truth.coords[::97].long(), truth.coords[:9].long())
    )
    for stride in (1, 2, 4):
        coords = torch.cat([torch.nn.functional.pad(cells // stride, (1, 0), value=member) for member in (0, 1)])
        voxels = voxel_set(coords.int(), 2, tuple(256 // stride for _ in range(3)), stride)
        member, i, j, k = voxels.coords.long().unbind(dim=1)
        bands = torch.stack([band_cells(t, stride) for t in (truth, other)])
        assert torch.equal(table.is_band(voxels), bands[member, i, j, k])
        if stride == 1:
            found = table.at(voxels, 3.0)
            distance = torch.stack([t.dense_distance_vox() for t in (truth, other)])[member, i, j, k]
            torch.testing.assert_close(found.distance_vox, distance.clamp(max=3.0), rtol=0, atol=0)
            assert torch.equal(
                found.semantic, torch.stack([t.dense_semantic() for t in (truth, other)])[member, i, j, k].long()
            )
            instance = torch.stack([t.dense_instance() for t in (truth, other)])[member, i, j, k]
            assert torch.equal(found.instance, instance.long())


@pytest.mark.parametrize("every", [1, 2])
def test_planes_are_the_voxels_nearest_to_points_on_rays(sample: Sample, truth: VoxelTruth, every: int) -> None:
    camera = sample.camera.resized(40, 30)
    occupied, known = plane_truth(truth, camera, 51, 0.12, every)
    pixels = pixel_grid(30, 40)[::every, ::every].reshape(-1, 2)
    rays = unproject(pixels, pixels.new_ones(len(pixels)), camera.intrinsics.float())
    points_m = (torch.arange(51) * 0.12)[:, None, None] * rays
    voxels, is_inside = nearest_voxels(truth.grid.index_from_camera(points_m), truth.grid.shape)
    i, j, k = voxels.unbind(dim=-1)
    seen = is_inside & truth.frustum_mask[i, j, k]
    assert float((seen.view(known.shape) != known).float().mean()) < 1e-4  # points halfway between two voxels
    near = seen & (truth.dense_distance_vox() < 0.12 / truth.grid.voxel_size_m / 2)[i, j, k]
    assert float((near.view(known.shape) != occupied).float().mean()) < 1e-4


def test_a_voxel_without_a_group_takes_one_of_its_cell() -> None:
    coords = torch.tensor([[0, 0, 0], [3, 3, 3], [4, 0, 0], [4, 1, 0], [4, 2, 0], [40, 40, 40]])
    group = torch.tensor([7, 0, 2, 5, 0, 0])
    assert spread_groups(coords, group).tolist() == [7, 7, 2, 5, 5, 0]
    assert spread_groups(coords[:0], group[:0]).tolist() == []
