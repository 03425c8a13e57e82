"""Seeds in the volume and the voxels that join them."""

from dataclasses import replace

import pytest
import torch

from panoptic3d.models.clearview.config import SeedConfig
from panoptic3d.models.clearview.seeds import Votes, belonging, membership, strongest
from panoptic3d.sparse.voxels import all_voxels, voxel_set
from panoptic3d.structures.prediction import ThingSeeds

CELLS = all_voxels(2, (6, 6, 6), stride=4)


def heat(*places: tuple[int, int, int, int, float]) -> torch.Tensor:
    volume = torch.full((2, 6, 6, 6), -6.0)
    for member, i, j, k, logit in places:
        volume[member, i, j, k] = logit
    return volume.flatten()


def test_the_strongest_cells_are_seeds_of_their_image() -> None:
    places = strongest(heat((0, 1, 1, 1, 2.0), (0, 4, 4, 4, 3.0), (1, 2, 2, 2, 1.0)), CELLS, SeedConfig())
    assert CELLS.coords[places.rows].tolist() == [[0, 4, 4, 4], [0, 1, 1, 1], [1, 2, 2, 2]]


def test_a_weaker_neighbour_and_an_unlikely_cell_are_no_seeds() -> None:
    places = strongest(heat((0, 1, 1, 1, 2.0), (0, 1, 1, 2, 1.5), (0, 5, 5, 5, -3.0)), CELLS, SeedConfig())
    assert CELLS.coords[places.rows].tolist() == [[0, 1, 1, 1]]


@pytest.mark.parametrize("apart_cells", [1, 3, 5, 6, 20])
def test_seeds_are_the_largest_of_their_windows(apart_cells: int) -> None:
    logit = torch.randn(2 * 6**3, generator=torch.Generator().manual_seed(apart_cells))
    reach = apart_cells // 2
    pooled = torch.nn.functional.max_pool3d(
        torch.nn.functional.pad(logit.view(2, 1, 6, 6, 6), [reach] * 6, value=-100.0), 2 * reach + 1, stride=1
    )
    want = (logit == pooled.flatten()).nonzero()[:, 0]
    config = SeedConfig(apart_cells=apart_cells, min_score=0.0, max_seeds=500)
    assert strongest(logit, CELLS, config).rows.sort().values.tolist() == want.tolist()


def test_no_more_seeds_than_asked_for() -> None:
    spots = [(0, i, j, k, 1.0 + i) for i in (0, 2, 4) for j in (0, 2, 4) for k in (0, 2, 4)]
    places = strongest(heat(*spots), CELLS, SeedConfig(max_seeds=5))
    assert len(places.rows) == 5


def seeds(members: list[int], centres: list[list[float]]) -> ThingSeeds:
    count = len(members)
    return ThingSeeds(
        member=torch.tensor(members, dtype=torch.int64),
        centre_vox=torch.tensor(centres, dtype=torch.float32).reshape(-1, 3),
        reach_vox=torch.full((count,), 4.0),
        embedding=torch.zeros(count, 2),
        class_logits=torch.zeros(count, 13),
        scores=torch.ones(count),
    )


def test_voxels_join_the_seed_they_vote_for_in_their_own_image() -> None:
    voxels = voxel_set(torch.tensor([[0, 1, 1, 1], [0, 9, 9, 9], [1, 1, 1, 1]]).int(), 2, (16, 16, 16))
    votes = Votes(voxels.coords[:, 1:].float(), torch.zeros(3, 2), torch.full((3,), -9.0))
    logits = membership(votes, voxels, seeds([0, 0, 1], [[0, 0, 0], [10, 10, 10], [3, 3, 3]]), SeedConfig())
    assert logits.argmax(dim=1).tolist() == [1, 2, 3]


def test_a_voxel_may_be_of_no_thing_and_an_image_may_have_none() -> None:
    voxels = voxel_set(torch.tensor([[0, 1, 1, 1]]).int(), 1, (16, 16, 16))
    votes = Votes(torch.tensor([[14.0, 14, 14]]), torch.zeros(1, 2), torch.zeros(1))
    assert membership(votes, voxels, seeds([0], [[0, 0, 0]]), SeedConfig()).argmax(dim=1).tolist() == [0]
    assert membership(votes, voxels, seeds([], []), SeedConfig()).shape == (1, 1)


def test_logits_are_products_minus_squared_distances_with_their_gradients() -> None:
    draw = torch.Generator().manual_seed(0)
    wide, narrow = 256 * torch.rand(500, 3, generator=draw), torch.randn(500, 2, generator=draw)
    centres = wide[:9] + torch.randn(9, 3, generator=draw)
    every = replace(
        seeds([0] * 9, centres.tolist()),
        reach_vox=(1 + 6 * torch.rand(9, generator=draw)).requires_grad_(),
        embedding=torch.randn(9, 2, generator=draw).requires_grad_(),
    )
    votes = Votes(wide.requires_grad_(), narrow.requires_grad_(), torch.zeros(500))
    logits = belonging(votes, every, SeedConfig())[:, 1:]
    gap = (wide.double()[:, None] - every.centre_vox.double()).norm(dim=2)
    expected = narrow @ every.embedding.t() - (gap / every.reach_vox).square().clamp(max=50)
    torch.testing.assert_close(logits, expected.float(), rtol=1e-4, atol=5e-3)
    leaves = (wide, narrow, every.reach_vox, every.embedding)
    weight = torch.rand(logits.shape, generator=draw)
    ours = torch.autograd.grad((logits * weight).sum(), leaves)
    theirs = torch.autograd.grad((expected * weight).sum(), leaves)
    for own, twin in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, twin.float(), rtol=1e-3, atol=1e-3 * float(twin.abs().max()))
